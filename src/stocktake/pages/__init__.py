"""Pages: what people read in a browser. Finished run folders in, one self-contained HTML page out.

`report` writes the page, `sections` reads the run folders, `plots` draws, `page` fills templates
and puts pictures inside. Jinja2 and matplotlib live here. May use `runs`, `schema` and `errors`.
"""
