//! The integration tests, one binary: this file is the table of contents.

mod live;
