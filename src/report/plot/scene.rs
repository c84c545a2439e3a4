//! A picture as SVG: shapes and text in pixels, origin at the top left. All text is escaped.

use super::palette::Marker;
use std::fmt::Write;

/// Families tried in order. PNGs are drawn with the first, which is embedded (see [`super::png`]).
const FONTS: &str = "'DejaVu Sans Condensed', 'Noto Sans', 'Helvetica Neue', Arial, sans-serif";

/// Ink for text and axes.
pub const INK: &str = "#222222";
/// Secondary text.
pub const SOFT: &str = "#5f6368";
/// Grid lines and frames.
pub const GRID: &str = "#e4e6e9";

/// A line's look.
#[derive(Clone, Copy, Debug)]
pub struct Stroke<'a> {
    pub colour: &'a str,
    pub width: f64,
    /// SVG dash pattern; empty = solid.
    pub dash: &'a str,
    pub opacity: f64,
}

impl<'a> Stroke<'a> {
    /// A solid line.
    pub fn new(colour: &'a str, width: f64) -> Self {
        Self { colour, width, dash: "", opacity: 1.0 }
    }
}

/// Which point of the text stands at the given place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A text's look.
#[derive(Clone, Copy, Debug)]
pub struct Font<'a> {
    pub size: f64,
    pub anchor: Anchor,
    pub bold: bool,
    pub colour: &'a str,
    /// Degrees counter-clockwise around the anchor point.
    pub turned: f64,
}

impl Font<'_> {
    /// Upright text of that size in ink, beginning at the point.
    pub fn new(size: f64) -> Self {
        Self { size, anchor: Anchor::Start, bold: false, colour: INK, turned: 0.0 }
    }

    pub fn anchor(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    pub fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub fn turned(self, degrees: f64) -> Self {
        Self { turned: degrees, ..self }
    }
}

impl<'a> Font<'a> {
    pub fn colour<'b>(self, colour: &'b str) -> Font<'b>
    where
        'a: 'b,
    {
        Font { colour, ..self }
    }
}

/// A picture being built.
#[derive(Clone, Debug)]
pub struct Scene {
    width: f64,
    height: f64,
    title: String,
    body: String,
    words: String,
}

impl Scene {
    /// An empty white picture; `title` is what a screen reader or a tooltip says.
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        Self { width, height, title: title.into(), body: String::new(), words: String::new() }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (f64, f64) {
        (self.width, self.height)
    }

    pub fn rect(&mut self, x: f64, y: f64, w: f64, h: f64, fill: &str) {
        self.element(format_args!(
            r#"<rect x="{}" y="{}" width="{}" height="{}" fill="{fill}"/>"#,
            N(x),
            N(y),
            N(w.max(0.0)),
            N(h.max(0.0))
        ));
    }

    /// An unfilled rectangle.
    pub fn frame(&mut self, x: f64, y: f64, w: f64, h: f64, stroke: Stroke) {
        self.element(format_args!(
            r#"<rect x="{}" y="{}" width="{}" height="{}" fill="none" {}/>"#,
            N(x),
            N(y),
            N(w),
            N(h),
            Attributes(stroke)
        ));
    }

    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: Stroke) {
        self.element(format_args!(
            r#"<line x1="{}" y1="{}" x2="{}" y2="{}" {}/>"#,
            N(from.0),
            N(from.1),
            N(to.0),
            N(to.1),
            Attributes(stroke)
        ));
    }

    /// A line through the points.
    pub fn polyline(&mut self, points: &[(f64, f64)], stroke: Stroke) {
        self.element(format_args!(
            r#"<polyline points="{}" fill="none" stroke-linejoin="round" stroke-linecap="round" {}/>"#,
            Points(points),
            Attributes(stroke)
        ));
    }

    /// A filled area without an outline.
    pub fn area(&mut self, points: &[(f64, f64)], fill: &str, opacity: f64) {
        self.element(format_args!(
            r#"<polygon points="{}" fill="{fill}" fill-opacity="{}"/>"#,
            Points(points),
            N(opacity)
        ));
    }

    /// A data point: `radius` is that of a circle of the same visual weight.
    pub fn marker(&mut self, marker: Marker, at: (f64, f64), radius: f64, colour: &str, opacity: f64) {
        let (x, y) = at;
        if marker == Marker::Circle {
            self.element(format_args!(
                r##"<circle cx="{}" cy="{}" r="{}" fill="{colour}" fill-opacity="{}" stroke="#ffffff" stroke-width="0.6"/>"##,
                N(x),
                N(y),
                N(radius),
                N(opacity)
            ));
            return;
        }
        let points: Vec<(f64, f64)> =
            marker.outline().iter().map(|(dx, dy)| (x + dx * radius, y + dy * radius)).collect();
        self.element(format_args!(
            r##"<polygon points="{}" fill="{colour}" fill-opacity="{}" stroke="#ffffff" stroke-width="0.6"/>"##,
            Points(&points),
            N(opacity)
        ));
    }

    /// All text in the picture, run together.
    pub fn words(&self) -> &str {
        &self.words
    }

    /// Text whose baseline passes through the point.
    pub fn text(&mut self, at: (f64, f64), text: &str, font: Font) {
        self.words.push_str(text);
        let anchor = match font.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if font.bold { r#" font-weight="bold""# } else { "" };
        let turn = if font.turned == 0.0 {
            String::new()
        } else {
            format!(r#" transform="rotate({} {} {})""#, N(-font.turned), N(at.0), N(at.1))
        };
        self.element(format_args!(
            r#"<text x="{}" y="{}" font-size="{}" text-anchor="{anchor}" fill="{}"{weight}{turn}>{}</text>"#,
            N(at.0),
            N(at.1),
            N(font.size),
            font.colour,
            Escaped(text)
        ));
    }

    fn element(&mut self, markup: std::fmt::Arguments) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.body, "{markup}");
    }

    /// The whole SVG document.
    pub fn svg(&self) -> String {
        let (w, h) = (N(self.width), N(self.height));
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" \
             font-family=\"{FONTS}\" xml:space=\"preserve\">\n<title>{}</title>\n\
             <rect width=\"{w}\" height=\"{h}\" fill=\"#ffffff\"/>\n{}</svg>\n",
            Escaped(&self.title),
            self.body
        )
    }
}

/// Width of a text in pixels, estimated from its cells (the builder has no font metrics).
pub fn text_width(text: &str, size: f64) -> f64 {
    crate::report::text::width(text) as f64 * size * 0.56
}

/// A coordinate with two decimals, without trailing zeros; anything not finite becomes 0.
struct N(f64);

impl std::fmt::Display for N {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let v = if self.0.is_finite() { (self.0 * 100.0).round() / 100.0 } else { 0.0 };
        // Adding zero turns -0 into 0.
        write!(f, "{}", v + 0.0)
    }
}

struct Points<'a>(&'a [(f64, f64)]);

impl std::fmt::Display for Points<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, (x, y)) in self.0.iter().enumerate() {
            let gap = if i > 0 { " " } else { "" };
            write!(f, "{gap}{},{}", N(*x), N(*y))?;
        }
        Ok(())
    }
}

struct Attributes<'a>(Stroke<'a>);

impl std::fmt::Display for Attributes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let s = self.0;
        write!(f, r#"stroke="{}" stroke-width="{}""#, s.colour, N(s.width))?;
        if !s.dash.is_empty() {
            write!(f, r#" stroke-dasharray="{}""#, s.dash)?;
        }
        if s.opacity < 1.0 {
            write!(f, r#" stroke-opacity="{}""#, N(s.opacity))?;
        }
        Ok(())
    }
}

/// XML text: mark-up escaped, characters that XML 1.0 forbids replaced.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                    f.write_char('\u{fffd}')?;
                }
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        let mut s = Scene::new(100.0, 50.0, "a<b & \"c\"");
        s.text((1.0, 2.0), "</text><script>\u{1}", Font::new(10.0));
        let svg = s.svg();
        assert!(svg.contains("<title>a&lt;b &amp; &quot;c&quot;</title>"));
        assert!(svg.contains("&lt;/text&gt;&lt;script&gt;\u{fffd}</text>"), "{svg}");
        resvg::usvg::roxmltree::Document::parse(&svg).unwrap();
    }

    #[test]
    fn numbers_are_short_and_finite() {
        assert_eq!(N(1.0 / 3.0).to_string(), "0.33");
        assert_eq!(N(-0.0001).to_string(), "0");
        assert_eq!(N(f64::NAN).to_string(), "0");
        assert_eq!(Points(&[(1.0, 2.5), (3.0, f64::INFINITY)]).to_string(), "1,2.5 3,0");
    }
}
