"""Store: bytes in and out, from a folder or a bucket; Parquet tables and photo shards on disk.

Takes addresses, paths and Arrow tables. May use schema, parts and errors.
"""
