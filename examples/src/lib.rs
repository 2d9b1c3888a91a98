//! Examples of programs that embed Quipu; each is a file of its own.
