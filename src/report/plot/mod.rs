//! Pictures: a small SVG scene builder, axes, and one drawing per answer type.

pub mod axis;
pub mod curves;
pub mod eval;
pub mod lens;
pub mod maps;
pub mod measures;
pub mod palette;
pub mod pca;
pub mod png;
pub mod scene;
