DROP TABLE import_pieces;
DROP TABLE import_rows;
DROP TABLE import_jobs;
DROP TABLE user_groups;
DROP TABLE groups;
