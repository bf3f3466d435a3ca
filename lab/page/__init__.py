"""What live page, replay and `report.html` are made of: drawings, charts, tables, assets."""
