//! PNG: the SVG drawn with an embedded font, so that a machine without fonts draws the same picture.

use crate::error::{Context, Error, Result};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, fontdb};
use std::sync::{Arc, OnceLock};

/// Pixels per SVG unit: sharp on print and on dense screens.
pub const SCALE: f32 = 2.0;

/// More pixels than this are refused rather than allocated (256 MB as RGBA).
const MOST_PIXELS: f32 = 64e6;

const BOOK: &[u8] = include_bytes!("../../../assets/fonts/DejaVuSansCondensed.ttf");
const BOLD: &[u8] = include_bytes!("../../../assets/fonts/DejaVuSansCondensed-Bold.ttf");

/// Embedded fonts first, then the system's for scripts beyond them.
fn fonts() -> Arc<fontdb::Database> {
    static FONTS: OnceLock<Arc<fontdb::Database>> = OnceLock::new();
    let load = || {
        let mut db = fontdb::Database::new();
        db.load_font_data(BOOK.to_vec());
        db.load_font_data(BOLD.to_vec());
        db.set_sans_serif_family("DejaVu Sans Condensed");
        db.load_system_fonts();
        Arc::new(db)
    };
    FONTS.get_or_init(load).clone()
}

/// Draws an SVG document at `scale` pixels per unit and encodes it.
///
/// # Errors
/// When the picture would be larger than 64 megapixels, or is no valid SVG.
pub fn png(svg: &str, scale: f32) -> Result<Vec<u8>> {
    let options = usvg::Options {
        font_family: "DejaVu Sans Condensed".into(),
        fontdb: fonts(),
        ..usvg::Options::default()
    };
    let tree = usvg::Tree::from_str(svg, &options).context("cannot draw the picture")?;
    let (w, h) = (tree.size().width() * scale, tree.size().height() * scale);
    if w * h > MOST_PIXELS {
        return Err(Error::Failed(format!(
            "a PNG of {w:.0} x {h:.0} pixels is too large; choose fewer layers, languages or adapters, or write .svg"
        )));
    }
    let mut pixmap = Pixmap::new(w.ceil() as u32, h.ceil() as u32)
        .ok_or_else(|| Error::failed("cannot draw an empty picture"))?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
    pixmap.encode_png().context("cannot encode the PNG")
}

/// Characters of `text` that neither the embedded nor any installed font has, each once: they would be
/// empty boxes in a PNG.
pub fn missing_glyphs(text: &str) -> Vec<char> {
    let db = fonts();
    let mut open: Vec<char> = text.chars().filter(|c| !c.is_control() && !c.is_whitespace()).collect();
    open.sort_unstable();
    open.dedup();
    for face in db.faces() {
        if open.is_empty() {
            break;
        }
        db.with_face_data(face.id, |data, index| {
            if let Ok(font) = ttf_parser::Face::parse(data, index) {
                open.retain(|&c| font.glyph_index(c).is_none());
            }
        });
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plot::scene::{Font, Scene};

    fn dark_pixels(png: &[u8]) -> usize {
        let image = Pixmap::decode_png(png).unwrap();
        image.pixels().iter().filter(|p| p.red() < 128).count()
    }

    #[test]
    fn text_is_drawn_without_system_fonts() {
        let mut scene = Scene::new(60.0, 20.0, "t");
        let empty = png(&scene.svg(), 1.0).unwrap();
        scene.text((2.0, 14.0), "Hű Дя −1 ▁", Font::new(12.0));
        let drawn = png(&scene.svg(), 1.0).unwrap();
        assert_eq!(dark_pixels(&empty), 0);
        assert!(dark_pixels(&drawn) > 30);
    }

    #[test]
    fn too_large_is_refused() {
        let e = png(&Scene::new(30_000.0, 30_000.0, "t").svg(), 2.0).unwrap_err();
        assert!(e.to_string().contains("too large"), "{e}");
    }

    #[test]
    fn glyphs_that_nobody_has() {
        assert_eq!(missing_glyphs("aé−Я ▁"), Vec::<char>::new());
        assert_eq!(missing_glyphs("a\u{f8f0}"), ['\u{f8f0}']);
    }
}
