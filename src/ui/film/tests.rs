use super::cast::{Version, cast};
use super::testing::{library, note, record};
use super::*;
use crate::app::testing::Bench;
use crate::session::What;
use ratatui::buffer::CellWidth;
use ratatui::style::{Color, Modifier};

fn tour(lang: &str) -> Arc<SessionFile> {
    let lives = |bench: &mut Bench| {
        for keys in ["jjj", "<enter>", "<esc>3", "4", "c", "2d6"] {
            bench.wait(700);
            bench.keys(keys);
        }
        bench.wait(60_000);
        bench.keys("?");
    };
    let notes =
        [(900, note("สวัสดี हिन्दी 你好 👋: what comes out of layer 10?")), (1500, What::Mark("grid".into()))];
    record(lang, lives, &notes)
}

fn frames(file: &Arc<SessionFile>, options: &Options) -> (Vec<Frame>, u64) {
    let mut film = Film::new(file.clone(), library(), options.clone()).unwrap();
    let mut out = Vec::new();
    while let Some(frame) = film.frame().unwrap() {
        out.push(frame);
    }
    (out, film.length())
}

/// Plays the output of an asciicast and compares every cell with the film's last frame.
fn plays_to_the_same(file: &Arc<SessionFile>, options: &Options, version: Version) {
    let (wanted, length) = frames(file, options);
    let wanted = wanted.last().unwrap();
    let mut film = Film::new(file.clone(), library(), options.clone()).unwrap();
    let text = cast(&mut film, version, ThemeKind::Dark, &mut |_| Ok(())).unwrap();
    let (cols, rows) = film.size();
    let mut terminal = vt100::Parser::new(rows, cols, 0);
    let (mut last, mut markers) = (0.0, Vec::new());
    for line in text.lines().skip(1) {
        let (time, code, data): (f64, String, String) = serde_json::from_str(line).unwrap();
        match version {
            Version::Two => assert!(time >= last, "{line}"),
            Version::Three => assert!(time >= 0.0),
        }
        last = if version == Version::Two { time } else { last + time };
        match code.as_str() {
            "o" => terminal.process(data.as_bytes()),
            "m" => markers.push(data),
            other => panic!("{other}"),
        }
    }
    assert!((last - length as f64 / 1e6).abs() < 0.002, "{last} {length}");
    assert_eq!(markers.len(), 2, "{markers:?}");
    same_screen(terminal.screen(), &wanted.screen);
}

fn same_screen(got: &vt100::Screen, wanted: &Buffer) {
    let as_rgb = |c: Color| match c {
        Color::Rgb(r, g, b) => vt100::Color::Rgb(r, g, b),
        Color::Reset => vt100::Color::Default,
        other => panic!("{other:?}"),
    };
    for y in 0..wanted.area.height {
        let mut x = 0;
        while x < wanted.area.width {
            let cell = &wanted[(x, y)];
            let columns = cell.cell_width().max(1);
            let at = |x| got.cell(y, x).unwrap();
            let text: String = (x..x + columns).map(|x| at(x).contents()).collect();
            assert_eq!(text.trim_end(), cell.symbol().trim_end(), "({x}, {y})");
            let first = at(x);
            assert_eq!((first.fgcolor(), first.bgcolor()), (as_rgb(cell.fg), as_rgb(cell.bg)), "({x}, {y})");
            let of = |m| cell.modifier.contains(m);
            let wanted = [of(Modifier::BOLD), of(Modifier::DIM), of(Modifier::REVERSED)];
            assert_eq!([first.bold(), first.dim(), first.inverse()], wanted, "({x}, {y})");
            x += columns;
        }
    }
}

#[test]
fn an_asciicast_plays_to_the_explorers_own_last_screen() {
    for lang in ["th", "hi", "zh", "bn"] {
        let file = tour(lang);
        for size in [(80, 24), (200, 60)] {
            for theme in [ThemeKind::Dark, ThemeKind::Light, ThemeKind::Ascii] {
                let options = Options { size: Some(size), theme: Some(theme), ..Options::default() };
                plays_to_the_same(&file, &options, Version::Two);
            }
        }
        // In the middle of the caption, and in the other version.
        let options = Options { to: Some(1800), ..Options::default() };
        plays_to_the_same(&file, &options, Version::Three);
    }
}

#[test]
fn every_frame_plays_to_its_own_screen() {
    for lang in ["th", "hi", "ja"] {
        let (frames, _) = frames(&tour(lang), &Options::default());
        assert!(frames.len() > 12, "{}", frames.len());
        let (mut encoder, mut terminal) = (ansi::Encoder::new(), vt100::Parser::new(40, 120, 0));
        for (i, frame) in frames.iter().enumerate() {
            let bytes = encoder.encode(&frame.screen, frame.cursor);
            terminal.process(bytes.as_bytes());
            same_screen(terminal.screen(), &frame.screen);
            let cursor = (!terminal.screen().hide_cursor()).then(|| terminal.screen().cursor_position());
            assert_eq!(cursor, frame.cursor.map(|at| (at.y, at.x)), "frame {i}");
            // Only what differs is sent: a frame like the one before costs nothing.
            assert_eq!(encoder.encode(&frame.screen, frame.cursor), "", "frame {i}");
        }
    }
}

#[test]
fn text_on_which_terminals_disagree_ends_on_its_own_cells() {
    let mut encoder = ansi::Encoder::new();
    let mut terminal = vt100::Parser::new(3, 24, 0);
    for text in ["👩‍👩‍👧 family|", "🇹🇭 flag ❤️|", "กำ क्षि न्दी|", "半角ｶﾞｷﾞ|", "a|", "积极|x积", " 积极|x"]
    {
        let mut screen = Buffer::empty(Rect::new(0, 0, 24, 3));
        screen.set_string(0, 1, text, ratatui::style::Style::new().fg(Color::Red));
        terminal.process(encoder.encode(&screen, None).as_bytes());
        // What follows such text stands where the explorer put it.
        let bar = (0..24).find(|x| screen[(*x, 1)].symbol() == "|").unwrap();
        assert_eq!(terminal.screen().cell(1, bar).unwrap().contents(), "|", "{text}");
        let after =
            (bar + 1..24).map(|x| terminal.screen().cell(1, x).unwrap().contents()).collect::<String>();
        let wanted: String = (bar + 1..24).map(|x| screen[(x, 1)].symbol()).collect();
        assert_eq!(after.trim(), wanted.trim(), "{text}");
    }
}

#[test]
fn the_same_session_gives_the_same_bytes() {
    let file = tour("th");
    let make = |version| {
        let mut film = Film::new(file.clone(), library(), Options::default()).unwrap();
        cast(&mut film, version, ThemeKind::Dark, &mut |_| Ok(())).unwrap()
    };
    for version in [Version::Two, Version::Three] {
        assert_eq!(make(version), make(version));
    }
    let head: serde_json::Value = serde_json::from_str(make(Version::Two).lines().next().unwrap()).unwrap();
    assert_eq!((&head["version"], &head["width"], &head["height"]), (&2.into(), &120.into(), &40.into()));
    assert_eq!((&head["timestamp"], &head["title"]), (&1_795_453_200.into(), &"A first tour".into()));
    let head: serde_json::Value = serde_json::from_str(make(Version::Three).lines().next().unwrap()).unwrap();
    assert_eq!((&head["version"], &head["term"]["cols"]), (&3.into(), &120.into()));
    assert!(head.get("width").is_none());
}

#[test]
fn pauses_are_shortened_and_frames_are_few() {
    let file = tour("th");
    let (frames, length) = frames(&file, &Options::default());
    assert!(file.end() > 60_000);
    // Six waits of 0.7 s, the long pause of 2 s, the end of 1 s.
    assert!((7_000_000..9_000_000).contains(&length), "{length}");
    for pair in frames.windows(2) {
        assert!(pair[1].at - pair[0].at >= 66_666, "{} {}", pair[0].at, pair[1].at);
    }
    assert_eq!(frames.last().unwrap().t, file.end());
    let whole = Options { idle: 100_000, speed: 10.0, ..Options::default() };
    let (_, length) = super::tests::frames(&file, &whole);
    assert!((6_400_000..6_800_000).contains(&length), "{length}");
}

#[test]
fn a_caption_is_there_while_it_is_read() {
    let file = tour("th");
    let has = |t| {
        let frame = still(file.clone(), library(), &Options::default(), t).unwrap();
        crate::ui::screens::text(&frame.screen).contains("what comes out of layer 10?")
    };
    let words = "สวัสดี हिन्दी 你好 👋: what comes out of layer 10?";
    let long = (words.chars().count() as u64 * 60).max(2500);
    assert_eq!([has(899), has(900), has(900 + long - 1), has(900 + long)], [false, true, true, false]);
}

#[test]
fn captions_fit_every_screen_and_hostile_text_is_harmless() {
    let theme = Theme::new(ThemeKind::Dark, Ladder::Rgb);
    for (w, h) in [(0, 0), (1, 1), (9, 3), (20, 8), (60, 16), (200, 60)] {
        for text in ["", "a", "\x1b[31m\u{202E}", &"long ".repeat(500), &"ที่สุด积极".repeat(300), "a\nb\n\n\nc"]
        {
            let mut buf = Buffer::empty(Rect::new(0, 0, w, h));
            let area = buf.area;
            caption(&mut buf, area, text, &theme);
            assert!(buf.content.iter().all(|c| !c.symbol().contains(char::is_control)));
        }
    }
    let mut buf = Buffer::empty(Rect::new(0, 0, 60, 16));
    let area = buf.area;
    caption(&mut buf, area, "Thai surfaces late: ภาษาไทย", &theme);
    insta::assert_snapshot!(crate::ui::screens::text(&buf));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let file = tour("th");
    let e = |options: Options| {
        let e = Film::new(file.clone(), library(), options).unwrap_err();
        assert_eq!(e.exit_code(), 2);
        e.to_string()
    };
    let d = Options::default;
    assert!(e(Options { size: Some((501, 60)), ..d() }).contains("to 500x200"));
    assert!(e(Options { size: Some((20, 10)), ..d() }).contains("from 60x16"));
    assert!(e(Options { from: 1_000_000, ..d() }).contains("16:40 is after the end"));
    assert!(e(Options { from: 2000, to: Some(1000), ..d() }).contains("is empty"));
    for speed in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(e(Options { speed, ..d() }).contains("above 0"));
    }
}

#[test]
fn a_gif_shows_each_frame_for_its_time() {
    let file = tour("th");
    let options = Options { size: Some((80, 24)), fps: 5, ..Options::default() };
    let (frames, length) = frames(&file, &options);
    let mut film = Film::new(file, library(), options).unwrap();
    let (bytes, _) = gif::gif(&mut film, &mut |_| Ok(())).unwrap();
    let mut reader = ::gif::DecodeOptions::new();
    reader.set_color_output(::gif::ColorOutput::RGBA);
    let mut reader = reader.read_info(&bytes[..]).unwrap();
    let (width, height) = (usize::from(reader.width()), usize::from(reader.height()));
    let mut canvas = vec![[0_u8; 3]; width * height];
    let (mut count, mut hundredths, mut raster) = (0, 0_u64, raster::Raster::new(1));
    while let Some(part) = reader.read_next_frame().unwrap() {
        for (i, pixel) in part.buffer.chunks_exact(4).enumerate().filter(|(_, p)| p[3] > 0) {
            let (x, y) = (i % usize::from(part.width), i / usize::from(part.width));
            canvas[(usize::from(part.top) + y) * width + usize::from(part.left) + x] =
                [pixel[0], pixel[1], pixel[2]];
        }
        let wanted = raster.image(&frames[count].picture()).unwrap();
        let far = |(a, b): (&[u8; 3], &(u8, u8, u8))| {
            a[0].abs_diff(b.0).max(a[1].abs_diff(b.1)).max(a[2].abs_diff(b.2))
        };
        let worst = canvas.iter().zip(&wanted.pixels).map(far).max().unwrap();
        assert!(worst <= 48, "frame {count}: a colour is off by {worst}");
        assert!(hundredths.abs_diff(frames[count].at / 10_000) <= 2, "{hundredths} {}", frames[count].at);
        hundredths += u64::from(part.delay);
        count += 1;
    }
    assert_eq!(count, frames.len());
    assert!(hundredths.abs_diff((length + END_PAUSE) / 10_000) <= 2);
}

#[test]
fn a_moving_svg_holds_each_row_once() {
    let file = tour("th");
    let options = Options { size: Some((80, 24)), ..Options::default() };
    let (frames, length) = frames(&file, &options);
    let mut film = Film::new(file.clone(), library(), options.clone()).unwrap();
    let text = moving::svg(&mut film, "A <tour>", &mut |_| Ok(())).unwrap();
    assert!(text.contains("<title>A &lt;tour&gt;</title>"));
    let duration = format!("dur=\"{}.", (length + END_PAUSE) / 1_000_000);
    assert!(text.contains(&duration), "{duration}");
    // A picture alone is a share of it that falls with the number of frames.
    let one = crate::ui::picture::svg(&frames[0].picture(), "t").len();
    assert!(text.len() < one * frames.len() / 2, "{} {one} {}", text.len(), frames.len());
    let rows: Vec<&str> = text.split("<g id=").skip(1).map(|g| g.split_once('>').unwrap().1).collect();
    let distinct: std::collections::HashSet<&&str> = rows.iter().collect();
    assert_eq!(distinct.len(), rows.len());
    // Where nothing moves the last screen is seen, as the picture of that moment.
    let still = resvg::usvg::Tree::from_str(&text, &crate::report::plot::png::screen_options()).unwrap();
    let last = crate::ui::picture::svg(&frames.last().unwrap().picture(), "t");
    let last = resvg::usvg::Tree::from_str(&last, &crate::report::plot::png::screen_options()).unwrap();
    let draw = |tree: &resvg::usvg::Tree| {
        let (w, h) = (tree.size().width() as u32, tree.size().height() as u32);
        let mut pixmap = resvg::tiny_skia::Pixmap::new(w, h).unwrap();
        resvg::render(tree, resvg::tiny_skia::Transform::identity(), &mut pixmap.as_mut());
        pixmap
    };
    let (a, b) = (draw(&still), draw(&last));
    let off = a.data().iter().zip(b.data()).filter(|(a, b)| a.abs_diff(**b) > 8).count();
    assert!(off * 1000 < a.data().len(), "{off} of {}", a.data().len());
}

#[test]
fn a_transcript_reads_like_what_was_done() {
    let text = transcript::transcript(&tour("th"), library(), &Options::default()).unwrap();
    insta::assert_snapshot!(text);
    assert!(text.lines().all(|l| crate::ui::text::width(l) <= 100));
    let part = Options { from: 900, to: Some(1500), ..Options::default() };
    let text = transcript::transcript(&tour("th"), library(), &part).unwrap();
    assert!(text.contains("what comes out of layer 10?") && text.contains("mark    grid"), "{text}");
    assert!(!text.contains("is loaded"), "{text}");
}

#[test]
fn the_cursor_is_in_pictures() {
    let file = record("th", |bench| bench.keys("1fHi"), &[]);
    let frame = still(file.clone(), library(), &Options::default(), file.end()).unwrap();
    let at = frame.cursor.unwrap();
    assert!(frame.picture()[at].modifier.contains(Modifier::REVERSED));
    assert!(!frame.screen[at].modifier.contains(Modifier::REVERSED));
}
