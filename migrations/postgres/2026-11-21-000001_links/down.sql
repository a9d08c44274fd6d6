DROP TABLE link_requests;
DROP TABLE links;
DROP TABLE link_keys;
