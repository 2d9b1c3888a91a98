//! placeholder
use crate::Seq;
/// placeholder
#[derive(Debug)]
pub struct Reader;
/// placeholder
#[derive(Debug)]
pub struct Entry(pub Seq);
