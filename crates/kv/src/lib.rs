//! An embedded LSM key-value store whose manifest and write-ahead log are Quipu journals.
