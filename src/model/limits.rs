//! Every limit that more than one place must agree on, with its unit.

use std::time::Duration;

/// Largest integer that every JSON reader keeps exactly: 2^53 - 1 (RFC 8785, I-JSON).
pub const MAX_SAFE_INTEGER: i64 = 9_007_199_254_740_991;
/// Deepest nesting of a hashed document.
pub const MAX_DOCUMENT_DEPTH: usize = 64;
/// Largest object the world stores, in bytes of JSON: what etcd takes by default.
pub const MAX_OBJECT_BYTES: usize = 1_572_864;
/// Largest reply body read from an external system, in bytes, unless an operation says otherwise.
pub const MAX_REPLY_BYTES: usize = 2 * 1024 * 1024;
/// A pass over one object ends when it has spent this long without a call under way.
pub const PASS_DEADLINE: Duration = Duration::from_secs(30);
/// A call to an external system ends after this long unless its provider says otherwise.
pub const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// All waits of one call together: then the call has failed (design section 3).
pub const WAIT_BUDGET: Duration = Duration::from_secs(300);
/// First backoff of a wait without Retry-After; doubles up to [`MAX_BACKOFF`].
pub const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// Longest backoff between two tries of one call.
pub const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// Rounds of gather and decide in one pass; a decision that has not settled by then is a fault of ours.
pub const MAX_ROUNDS: usize = 64;
/// Longest message kept in a status, in characters.
pub const MAX_MESSAGE: usize = 1024;
