"""The configuration that nginx's image brings along, for services that mount only a part of it."""

from __future__ import annotations

import mimetypes
from collections import defaultdict

NGINX_CONF = """\
worker_processes auto;
error_log /var/log/nginx/error.log notice;

events {
    worker_connections 1024;
}

http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
                    '"$http_referer" "$http_user_agent" "$http_x_forwarded_for"';
    access_log /var/log/nginx/access.log main;
    sendfile on;
    keepalive_timeout 65;
    include /etc/nginx/conf.d/*.conf;
}
"""

SITE = """\
server {
    listen 80;
    server_name localhost;
    location / {
        root /usr/share/nginx/html;
        index index.html index.htm;
    }
}
"""

PAGE = "<!doctype html>\n<title>nginx</title>\n<h1>nginx answers</h1>\n"


def mime_types() -> str:
    """Types by file ending, as Python knows them."""
    endings: dict[str, list[str]] = defaultdict(list)
    for ending, kind in mimetypes.MimeTypes().types_map[True].items():
        endings[kind].append(ending.removeprefix("."))
    lines = (f"    {kind} {' '.join(sorted(found))};" for kind, found in sorted(endings.items()))
    return "types {\n" + "\n".join(lines) + "\n}\n"
