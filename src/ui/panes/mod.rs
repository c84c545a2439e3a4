//! Drawing of the panes. Each draws the inside of its frame:
//! `render(buf, area, app, focused, theme)`, where `area` excludes border and title.

pub mod grid;
pub mod lens;
pub mod pca;
pub mod query;
#[cfg(test)]
pub mod shots;
pub mod training;
