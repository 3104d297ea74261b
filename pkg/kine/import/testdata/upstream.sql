-- The table of an upstream kine v0.17 on SQLite, with a row of every shape that it writes.
CREATE TABLE kine (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, created INTEGER, deleted INTEGER, create_revision INTEGER,
  prev_revision INTEGER, lease INTEGER, value BLOB, old_value BLOB
);
CREATE UNIQUE INDEX kine_name_prev_revision_uindex ON kine (name, prev_revision);
INSERT INTO kine (id, name, created, deleted, create_revision, prev_revision, lease, value, old_value) VALUES
  -- prev_revision is the compact revision
  (1, 'compact_rev_key', 1, 0, NULL, 12, 0, x'', NULL),
  (2, '/registry/health', 1, 0, NULL, 0, 0, '{"health":"true"}', NULL),
  -- its creation at 3 and the update at 5 have been compacted
  (9, '/registry/pods/default/old', 0, 0, 3, 5, 0, 'old@9', 'old@5'),
  (11, '/registry/pods/default/steady', 1, 0, NULL, 0, 0, x'00ff6b38730a', NULL),
  -- an aborted insert
  (13, 'gap-13', 0, 1, 0, 0, 0, NULL, NULL),
  (14, '/registry/pods/default/old', 0, 0, 3, 9, 0, 'old@14', 'old@9'),
  (15, '/registry/events/default/a', 1, 0, 0, 0, 3660, 'event', NULL),
  (16, '/registry/pods/default/gone', 1, 0, NULL, 0, 0, 'gone@16', NULL),
  (17, '/registry/pods/default/gone', 0, 1, 16, 16, 0, 'gone@16', 'gone@16'),
  (18, '/registry/masterleases/10.0.0.1', 1, 0, NULL, 0, 15, 'master@18', NULL),
  -- a second life, updated; the lease of the master is renewed by a put
  (19, '/registry/pods/default/gone', 1, 0, NULL, 17, 0, 'gone@19', NULL),
  (20, '/registry/pods/default/gone', 0, 0, 19, 19, 0, 'gone@20', 'gone@19'),
  (21, '/registry/masterleases/10.0.0.1', 0, 0, 18, 18, 15, 'master@21', 'master@18'),
  (23, 'gap-23', 0, 1, 0, 0, 0, NULL, NULL);
