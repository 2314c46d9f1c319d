//! Every crash point.
