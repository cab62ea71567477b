"""Painted bins: photos of warehouse bins that never were, with true counts, for tests and demos.

In: a number of photos and a seed. Out: a folder laid out like the dataset's bucket, `bin-images/`
and `metadata/`. `painter` writes it; `catalog` knows the products, `mix` the measured shares,
`scene` what lies in which bin, `placing` where it stands, `solids` its outline; `draw` puts
`faces` and `fabric` on a canvas, `camera` takes the photo, `masks` tells which item shows where.
May use the ground floor only: errors. NumPy, Pillow and simplejpeg, nothing heavier.
"""
