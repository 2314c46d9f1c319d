//! Text kept compressed: thousands of workflows are held and few are read at a time.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

/// A compressed text.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    bytes: Box<[u8]>,
    length: usize,
}

impl Packed {
    /// Compresses a text.
    pub(super) fn new(text: &str) -> Self {
        let mut encoder = DeflateEncoder::new(Vec::with_capacity(text.len() / 4), Compression::fast());
        // Writing to memory cannot fail.
        let bytes = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).unwrap_or_default();
        Self { bytes: bytes.into(), length: text.len() }
    }

    /// The text.
    pub(super) fn text(&self) -> String {
        let mut text = String::with_capacity(self.length);
        // What was written by `new` reads back.
        let _ = DeflateDecoder::new(&*self.bytes).read_to_string(&mut text);
        text
    }

    /// Length of the text in bytes.
    pub(super) fn len(&self) -> usize {
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_reads_back_and_takes_less_room() {
        for text in ["", "[]", &"{\"name\":\"Réserver\",\"type\":\"n8n-nodes-base.set\"},".repeat(50)] {
            let packed = Packed::new(text);
            assert_eq!(packed.text(), text);
            assert_eq!(packed.len(), text.len());
            assert!(text.len() < 100 || packed.bytes.len() * 4 < text.len());
        }
    }
}
