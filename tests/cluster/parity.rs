//! Examples.

use crate::Test;

pub fn shared() -> Vec<Test> {
    Vec::new()
}
