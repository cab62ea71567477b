"""Pages: what people read in a browser. Finished run folders in, one self-contained HTML page out.

`report` writes the page; `standing` says how each stage stands; `sections` lists what is shown, the
`*_sections` read the stages' artifacts for it; `plots` draws, `words` puts numbers as people read
them, `page` fills templates and puts pictures inside. Jinja2 and matplotlib live here. May use
`runs`, `store`, `schema` and `errors`.
"""
