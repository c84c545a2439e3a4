//! Answers as documents: JSON, CSV, Markdown, LaTeX, terminal tables, SVG and PNG.
//!
//! One struct per answer type ([`lens::LensReport`], [`curves::CurvesReport`], [`pca::PcaReport`],
//! [`eval::EvalReport`]), each with one method per format through [`Report`]. Nothing here computes with a model or
//! knows a terminal.

pub mod curves;
pub mod data;
pub mod eval;
pub mod json;
pub mod lens;
pub mod measures;
pub mod output;
pub mod pca;
pub mod plot;
pub mod recording;
pub mod table;
pub mod text;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

pub use output::{Format, OutFile, Place};

use crate::engine::protocol::{AdapterInfo, ModelInfo, RunId};
use crate::error::{Error, Result};
use plot::scene::Scene;

/// What a result can be turned into.
pub trait Report {
    /// One JSON document in the contract's schema, pretty-printed, with a final newline.
    fn json(&self) -> Result<String>;
    /// Long ("tidy") CSV with a header line: one row a value or a layer.
    fn csv(&self) -> Result<String>;
    /// Markdown with tables.
    fn markdown(&self) -> String;
    /// Tables for a terminal of `width` columns.
    fn text(&self, width: usize) -> String;
    /// A LaTeX table, for the results that have one ([`Format::Tex`]).
    ///
    /// # Errors
    /// [`Error::Usage`] for all others.
    fn tex(&self) -> Result<String> {
        Err(Error::usage("this result has no .tex form; use .json .csv .md .svg or .png"))
    }
    /// The picture that SVG and PNG are made from.
    fn picture(&self) -> Scene;

    /// The bytes of a file of that format.
    ///
    /// # Errors
    /// When a number cannot be written in the format or the picture cannot be drawn (too large).
    fn render(&self, format: Format) -> Result<Vec<u8>> {
        Ok(match format {
            Format::Json => self.json()?.into_bytes(),
            Format::Csv => self.csv()?.into_bytes(),
            Format::Markdown => self.markdown().into_bytes(),
            Format::Tex => self.tex()?.into_bytes(),
            Format::Svg => self.picture().svg().into_bytes(),
            Format::Png => plot::png::png(&self.picture().svg(), plot::png::SCALE)?,
        })
    }
}

/// What every report says about the weights that its numbers belong to.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    pub model: &'a ModelInfo,
    pub adapters: &'a [AdapterInfo],
}

impl<'a> Source<'a> {
    /// The adapter's name of a run; `None` for the base model (JSON: `"adapter": null`).
    pub fn adapter(&self, run: RunId) -> Option<&'a str> {
        run.map(|i| self.adapters.get(i).map_or("unknown adapter", |a| a.name.as_str()))
    }

    /// How a run is called in tables and panels: `base`, or the adapter's name.
    pub fn run_name(&self, run: RunId) -> &'a str {
        self.adapter(run).unwrap_or("base")
    }

    /// One line: name, architecture, size, number format and device.
    pub fn model_line(&self) -> String {
        let m = self.model;
        format!("{} ({}, {} layers, {} on {})", m.name, m.architecture, m.layers, m.dtype, m.device)
    }
}
