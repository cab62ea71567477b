"""Data: from what lies in a bucket to photos, facts about them and folds.

Takes a Store, metadata files and Arrow rows; gives rows, rejects, facts and folds. May use imaging,
measure, runs, store, schema, parts and errors; no other room, no torch.
"""
