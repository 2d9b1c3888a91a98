//! The manifest from outside: as a plain map, through a real history, and how it opens.

mod history;
mod model;
mod opening;
mod plain;
