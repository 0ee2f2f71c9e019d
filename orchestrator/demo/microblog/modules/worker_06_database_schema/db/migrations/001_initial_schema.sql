CREATE TABLE users (
    id         TEXT PRIMARY KEY,
    email      TEXT NOT NULL UNIQUE,
    password   TEXT NOT NULL,
    name       TEXT NOT NULL,
    created_at TEXT NOT NULL
);

CREATE TABLE posts (
    id         TEXT PRIMARY KEY,
    title      TEXT NOT NULL,
    content    TEXT NOT NULL,
    author_id  TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

CREATE TABLE comments (
    id         TEXT PRIMARY KEY,
    content    TEXT NOT NULL,
    post_id    TEXT NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
    author_id  TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    parent_id  TEXT REFERENCES comments (id) ON DELETE CASCADE,
    created_at TEXT NOT NULL
);

CREATE INDEX index_posts_author ON posts (author_id);
CREATE INDEX index_posts_created ON posts (created_at);
CREATE INDEX index_comments_post ON comments (post_id);
CREATE INDEX index_comments_author ON comments (author_id);
CREATE INDEX index_comments_parent ON comments (parent_id);
