//! Texts as parts of a URL.

use std::fmt::Write as _;

/// The text with everything but RFC 3986's unreserved characters percent-encoded.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// The id as a path segment. None for what would be read as another path: `.`, `..` or nothing.
pub(super) fn segment(id: &str) -> Option<String> {
    (!matches!(id, "" | "." | "..")).then(|| encoded(id))
}

/// A path of several segments, each encoded; none if one of them cannot be one.
pub(super) fn path(text: &str) -> Option<String> {
    text.split('/').map(segment).collect::<Option<Vec<_>>>().map(|segments| segments.join("/"))
}
