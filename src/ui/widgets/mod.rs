//! Reusable pieces of drawing.
