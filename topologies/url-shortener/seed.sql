-- Links 1 to 1000, and a user that is not a superuser: it gets no reserved connection.
CREATE ROLE app LOGIN;
CREATE DATABASE links OWNER app;
\connect links app

CREATE SEQUENCE codes START 1001;
CREATE TABLE links (
    code text PRIMARY KEY DEFAULT nextval('codes')::text,
    url  text NOT NULL
);
INSERT INTO links SELECT n::text, 'https://example.com/page/' || n FROM generate_series(1, 1000) AS n;
ANALYZE links;
