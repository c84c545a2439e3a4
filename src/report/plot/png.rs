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

const MONO: &[u8] = include_bytes!("../../../assets/fonts/DejaVuSansMono.ttf");
const MONO_BOLD: &[u8] = include_bytes!("../../../assets/fonts/DejaVuSansMono-Bold.ttf");

/// Where letters beyond the embedded fonts are looked for first, so that a text's letters match each other.
const FALLBACKS: [&str; 12] = [
    "Noto Sans Mono",
    "Noto Sans Thai",
    "Noto Sans Devanagari",
    "Noto Sans Bengali",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans Symbols",
    "Noto Sans Symbols 2",
    "Noto Emoji",
    "DejaVu Sans",
    "Droid Sans Fallback",
    "FreeSans",
];

/// Embedded fonts first, then the system's for scripts beyond them.
fn fonts() -> Arc<fontdb::Database> {
    static FONTS: OnceLock<Arc<fontdb::Database>> = OnceLock::new();
    let load = || {
        let mut db = fontdb::Database::new();
        db.load_font_data(BOOK.to_vec());
        db.load_font_data(BOLD.to_vec());
        db.load_font_data(MONO.to_vec());
        db.load_font_data(MONO_BOLD.to_vec());
        db.set_monospace_family("DejaVu Sans Mono");
        db.set_sans_serif_family("DejaVu Sans Condensed");
        db.load_system_fonts();
        Arc::new(db)
    };
    FONTS.get_or_init(load).clone()
}

/// How a screen's text is drawn: monospaced, with other scripts' letters from fonts that are found in the same order
/// on every machine.
pub fn screen_options() -> usvg::Options<'static> {
    let mut options =
        usvg::Options { font_family: "DejaVu Sans Mono".into(), fontdb: fonts(), ..usvg::Options::default() };
    options.font_resolver.select_fallback = Box::new(|c, tried, db| {
        let bold = tried.first().and_then(|id| db.face(*id)).map_or(fontdb::Weight::NORMAL, |f| f.weight);
        fallback(c, tried, bold, db)
    });
    options
}

/// A face that has the character: of the preferred families, else the first by name, sans serif before the others.
fn fallback(
    c: char,
    tried: &[fontdb::ID],
    weight: fontdb::Weight,
    db: &fontdb::Database,
) -> Option<fontdb::ID> {
    let has = |id: fontdb::ID| !tried.contains(&id) && glyph_of(db, id, c);
    for family in FALLBACKS {
        let query = fontdb::Query { families: &[fontdb::Family::Name(family)], weight, ..Default::default() };
        if let Some(id) = db.query(&query).filter(|id| has(*id)) {
            return Some(id);
        }
    }
    let mut faces: Vec<_> = db.faces().filter(|f| f.style == fontdb::Style::Normal).collect();
    let name = |f: &fontdb::FaceInfo| f.families.first().map_or(String::new(), |f| f.0.clone());
    faces.sort_by_cached_key(|f| {
        let name = name(f);
        (!name.contains("Sans"), f.weight.0.abs_diff(weight.0), name, f.index)
    });
    faces.into_iter().map(|f| f.id).find(|id| has(*id))
}

fn glyph_of(db: &fontdb::Database, id: fontdb::ID, c: char) -> bool {
    let has =
        |data: &[u8], index| ttf_parser::Face::parse(data, index).is_ok_and(|f| f.glyph_index(c).is_some());
    db.with_face_data(id, has).unwrap_or(false)
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
