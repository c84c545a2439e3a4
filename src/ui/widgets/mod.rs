//! Widgets: plain arrays in, cells out. None of them knows the application, and none panics or draws
//! garbage on empty areas, empty data, NaN or infinity. Each takes `ascii`: true leaves out every glyph
//! beyond ASCII.

pub mod axis;
pub mod bar;
pub mod braille;
pub mod heatmap;
pub mod legend;
pub mod line_chart;
pub mod notice;
pub mod plot;
pub mod scatter;
pub mod shares;
pub mod table;
