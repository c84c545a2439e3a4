//! Screens as pixels. Each glyph is drawn once, as the SVG picture draws it, and kept as a mask; a screen is then put
//! together cell by cell, which takes milliseconds.

use crate::error::{Context, Error, Result};
use crate::report::plot::png;
use crate::ui::picture::colour::{Ground, Rgb, colours};
use crate::ui::picture::{self, FONTS, H, SIZE, Unit, W};
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::Modifier;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg;
use std::collections::HashMap;
use std::io::Write;

/// What decides a glyph's shape.
type Key = (String, u16, Modifier);

/// How far a glyph may reach beyond its cells, in picture units.
const MARGIN: f64 = 6.0;

/// A picture of pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub width: usize,
    pub height: usize,
    /// Row by row.
    pub pixels: Vec<Rgb>,
}

/// Draws screens of one scale.
pub struct Raster {
    scale: u16,
    options: usvg::Options<'static>,
    /// Coverage 0..=255 of each glyph, its margins included.
    masks: HashMap<Key, Mask>,
}

struct Mask {
    width: usize,
    coverage: Vec<u8>,
}

impl Raster {
    /// `scale` pixels a picture unit: 1 for a cell of 9 x 19 pixels.
    pub fn new(scale: u16) -> Self {
        Self { scale: scale.max(1), options: png::screen_options(), masks: HashMap::new() }
    }

    /// A screen as pixels.
    ///
    /// # Errors
    /// A glyph cannot be drawn.
    pub fn image(&mut self, screen: &Buffer) -> Result<Image> {
        let ground = Ground::of(screen);
        let px = |units: f64| (units * f64::from(self.scale)).round() as usize;
        let (width, height) = picture::extent(screen.area.width, screen.area.height);
        let (width, height) = (px(width), px(height));
        let mut image = Image { width, height, pixels: vec![ground.background; width * height] };
        let rows: Vec<Vec<Unit>> = (0..screen.area.height).map(|y| picture::units(screen, y)).collect();
        let place = |u: &Unit, y: usize| picture::corner(u.x, y as u16);
        for (y, units) in rows.iter().enumerate() {
            for unit in units {
                let bg = colours(unit.cell, ground).1;
                if bg != ground.background {
                    let (left, top) = place(unit, y);
                    image.fill(
                        (px(left), px(top)),
                        (px(left + f64::from(unit.columns) * W), px(top + H)),
                        bg,
                    );
                }
            }
        }
        for (y, units) in rows.iter().enumerate() {
            for unit in units.iter().filter(|u| !u.cell.symbol().trim().is_empty()) {
                let (left, top) = place(unit, y);
                let scale = f64::from(self.scale);
                let corner =
                    (((left - MARGIN) * scale).round() as isize, ((top - MARGIN) * scale).round() as isize);
                let fg = colours(unit.cell, ground).0;
                image.stamp(self.mask(unit.cell, unit.columns)?, corner, fg);
            }
        }
        Ok(image)
    }

    /// Characters that could not be drawn because no font on this machine has them.
    pub fn missing(&self) -> Vec<char> {
        // What is drawn as a shape needs no font; a font of bitmaps alone draws nothing.
        let blank = |m: &Mask| m.coverage.iter().all(|a| *a == 0);
        let shaped =
            |k: &Key| k.0.chars().any(|c| matches!(c, '\u{2500}'..='\u{259F}' | '\u{2800}'..='\u{28FF}'));
        let text: String = self.masks.keys().filter(|k| !shaped(k)).map(|k| k.0.as_str()).collect();
        let mut missing = png::missing_glyphs(&text);
        missing
            .extend(self.masks.iter().filter(|(k, m)| !shaped(k) && blank(m)).flat_map(|(k, _)| k.0.chars()));
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    fn mask(&mut self, cell: &Cell, columns: u16) -> Result<&Mask> {
        let shaping = Modifier::BOLD | Modifier::ITALIC | Modifier::UNDERLINED | Modifier::DIM;
        let key = (cell.symbol().to_owned(), columns, cell.modifier & shaping);
        if !self.masks.contains_key(&key) {
            let mask = draw(cell, columns, self.scale, &self.options)?;
            self.masks.insert(key.clone(), mask);
        }
        self.masks.get(&key).ok_or_else(|| Error::failed("a glyph is gone"))
    }
}

fn draw(cell: &Cell, columns: u16, scale: u16, options: &usvg::Options) -> Result<Mask> {
    let width = f64::from(columns) * W;
    let (w, h) = (width + 2.0 * MARGIN, H + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" font-family=\"{FONTS}\" \
         font-size=\"{SIZE}\">"
    );
    let (at, white) = ((MARGIN, MARGIN), (255, 255, 255));
    // Fitting is done here: the library takes a cluster of several letters to be as wide as its widest one.
    let fitted = picture::fitted(cell.symbol());
    if fitted {
        picture::unfitted(cell, at, white, &mut svg);
    } else {
        picture::glyph(cell, columns, at, white, &mut svg);
    }
    svg.push_str("</svg>");
    let tree = usvg::Tree::from_str(&svg, options).context("a glyph cannot be drawn")?;
    let stretch = advance(tree.root()).filter(|_| fitted).map_or(1.0, |natural| width as f32 / natural);
    let px = |units: f64| (units * f64::from(scale)).ceil() as u32;
    let mut pixmap =
        Pixmap::new(px(w), px(h)).ok_or_else(|| Error::failed("a glyph of no size cannot be drawn"))?;
    let (s, left) = (f32::from(scale), MARGIN as f32);
    let place = Transform::from_row(s * stretch, 0.0, 0.0, s, s * left * (1.0 - stretch), 0.0);
    resvg::render(&tree, place, &mut pixmap.as_mut());
    let coverage = pixmap.pixels().iter().map(|p| p.alpha()).collect();
    Ok(Mask { width: pixmap.width() as usize, coverage })
}

/// How wide a text that begins at [`MARGIN`] is, in picture units: its widest letter's advance or, where a cluster is
/// of several letters, as far as its ink goes.
fn advance(group: &usvg::Group) -> Option<f32> {
    group.children().iter().find_map(|node| match node {
        usvg::Node::Text(text) => {
            let ink = text.flattened().abs_bounding_box().right() - MARGIN as f32;
            Some(text.bounding_box().width().max(ink)).filter(|w| *w > 0.1)
        }
        usvg::Node::Group(inner) => advance(inner),
        _ => None,
    })
}

impl Image {
    fn fill(&mut self, from: (usize, usize), to: (usize, usize), colour: Rgb) {
        for y in from.1..to.1.min(self.height) {
            let row = &mut self.pixels[y * self.width..(y + 1) * self.width];
            row[from.0..to.0.min(self.width)].fill(colour);
        }
    }

    fn stamp(&mut self, mask: &Mask, corner: (isize, isize), colour: Rgb) {
        for (row, y) in mask.coverage.chunks_exact(mask.width).zip(corner.1..) {
            let Some(y) = usize::try_from(y).ok().filter(|y| *y < self.height) else { continue };
            for (a, x) in row.iter().zip(corner.0..) {
                let Some(x) = usize::try_from(x).ok().filter(|x| *x < self.width && *a > 0) else { continue };
                let pixel = &mut self.pixels[y * self.width + x];
                *pixel = mix(*pixel, colour, *a);
            }
        }
    }

    /// As a PNG file: 8 bits a colour, unfiltered, which packs flat screens best.
    ///
    /// # Errors
    /// It has no pixels, or cannot be packed.
    pub fn png(&self) -> Result<Vec<u8>> {
        if self.pixels.is_empty() {
            return Err(Error::failed("cannot draw an empty picture"));
        }
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
        for row in self.pixels.chunks_exact(self.width) {
            let bytes: Vec<u8> =
                std::iter::once(0).chain(row.iter().flat_map(|(r, g, b)| [*r, *g, *b])).collect();
            packed.write_all(&bytes).context("cannot encode the PNG")?;
        }
        let mut head = Vec::new();
        head.extend((self.width as u32).to_be_bytes());
        head.extend((self.height as u32).to_be_bytes());
        head.extend([8, 2, 0, 0, 0]);
        let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
        chunk(&mut out, b"IHDR", &head);
        chunk(&mut out, b"IDAT", &packed.finish().context("cannot encode the PNG")?);
        chunk(&mut out, b"IEND", &[]);
        Ok(out)
    }
}

fn chunk(out: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    out.extend((data.len() as u32).to_be_bytes());
    out.extend(name);
    out.extend(data);
    let mut crc = Crc::new();
    crc.update(name);
    crc.update(data);
    out.extend(crc.sum().to_be_bytes());
}

fn mix(under: Rgb, over: Rgb, a: u8) -> Rgb {
    // Sixteen steps of grey are enough for the eye and leave a GIF fewer colours.
    let a = u32::from(a >> 4) * 17;
    let one = |u: u8, o: u8| ((u32::from(u) * (255 - a) + u32::from(o) * a + 127) / 255) as u8;
    (one(under.0, over.0), one(under.1, over.1), one(under.2, over.2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;
    use ratatui::style::{Color, Style};

    /// Columns of cells, of the given row, in which there is ink.
    fn inked(image: &Image, row: usize, columns: usize) -> Vec<bool> {
        let ground = image.pixels[0];
        let (w, h) = (W as usize, H as usize);
        (0..columns)
            .map(|c| {
                let inside = |i: usize| (w + c * w + 1 + i % (w - 2), h.div_ceil(2) + row * h + i / (w - 2));
                (0..(w - 2) * h).map(inside).any(|(x, y)| image.pixels[y * image.width + x] != ground)
            })
            .collect()
    }

    #[test]
    fn every_glyph_is_in_its_own_cells() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 12, 2));
        buf.set_style(buf.area, Style::new().bg(Color::Rgb(10, 20, 30)).fg(Color::Rgb(240, 240, 240)));
        buf.set_string(0, 0, "M  █  я  ─", Style::new());
        let image = Raster::new(1).image(&buf).unwrap();
        assert_eq!((image.width, image.height), (14 * 9, 3 * 19));
        let wanted: Vec<bool> = "M  █  я  ─  ".chars().map(|c| c != ' ').collect();
        assert_eq!(inked(&image, 0, 12), wanted);
        assert!(inked(&image, 1, 12).iter().all(|i| !i));
    }

    #[test]
    fn a_png_has_the_colours_of_the_screen() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 4, 1));
        buf.set_style(buf.area, Style::new().bg(Color::Rgb(10, 20, 30)));
        buf[(2, 0)].set_symbol("█").set_fg(Color::Rgb(200, 100, 50));
        let image = Raster::new(2).image(&buf).unwrap();
        let back = Pixmap::decode_png(&image.png().unwrap()).unwrap();
        let at = |x, y| back.pixel(x, y).map(|p| (p.red(), p.green(), p.blue()));
        assert_eq!(at(0, 0), Some((10, 20, 30)));
        assert_eq!(at(2 * (9 + 22), 2 * 19), Some((200, 100, 50)));
    }

    #[test]
    fn characters_without_a_font_are_named() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 8, 1));
        buf.set_string(0, 0, "a─⣿\u{f8f0}", Style::new());
        let mut raster = Raster::new(1);
        raster.image(&buf).unwrap();
        assert_eq!(raster.missing(), ['\u{f8f0}']);
    }
}
