//! `polylens sessions export`: a session as a film, a picture, text or numbers.

use crate::app::ThemeKind;
use crate::cli::args::Output;
use crate::cli::console::{self, Console};
use crate::cli::values;
use crate::error::{Error, Result};
use crate::report::{Place, recording};
use crate::session::{SessionFile, shipped};
use crate::ui::film::raster::Raster;
use crate::ui::film::transcript::transcript;
use crate::ui::film::{self, Film, Options, cast, time};
use crate::ui::picture;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Pixels a picture unit of a PNG: sharp on print and on dense screens.
const PNG_SCALE: u16 = 2;

#[derive(Args, Debug)]
pub struct Export {
    /// A session file, or a name of `polylens sessions list`
    #[arg(value_name = "FILE")]
    file: String,
    /// What it becomes [default: by --out's extension]
    #[arg(long, value_name = "FORM")]
    to: Option<Form>,
    /// Write to FILE, replacing an older one [default: stdout]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Cells of the screen, as in 100x30 [default: as recorded]
    #[arg(long, value_name = "WxH", value_parser = size)]
    size: Option<(u16, u16)>,
    /// Look of the explorer [default: as recorded]
    #[arg(long, value_name = "THEME", value_parser = values::theme())]
    theme: Option<ThemeKind>,
    /// One moment: 1:02.5, 62.5, 62500ms, a mark's name, end
    #[arg(long, value_name = "TIME", conflicts_with_all = ["from", "until"])]
    at: Option<String>,
    /// Begin at a moment
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// End at a moment
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Times as fast
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    speed: f64,
    /// The longest pause that is kept, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    idle: f64,
    /// Most pictures a second
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=60))]
    fps: u32,
    /// Version of the asciicast: 2 is read by every player
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=3))]
    cast_version: u8,
    /// No progress bar and no notes on stderr
    #[arg(long, short)]
    quiet: bool,
}

/// What a session can become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// asciicast, for asciinema players
    Cast,
    /// Picture of one moment
    Svg,
    /// Picture of one moment
    Png,
    /// Animation
    Gif,
    /// SVG that moves by itself
    SvgAnim,
    /// Transcript of the session or, with --at, the screen as text
    Txt,
    /// Every answer of the session
    Json,
    /// Every number of the session, one a line
    Csv,
}

impl Form {
    /// The extension that a file of this form usually has.
    fn extension(self) -> &'static str {
        match self {
            Self::Cast => "cast",
            Self::Svg | Self::SvgAnim => "svg",
            Self::Png => "png",
            Self::Gif => "gif",
            Self::Txt => "txt",
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }

    /// Whether a terminal can show it.
    fn binary(self) -> bool {
        matches!(self, Self::Png | Self::Gif)
    }
}

/// `100x30`.
fn size(text: &str) -> std::result::Result<(u16, u16), String> {
    let parts = text.split_once(['x', 'X', '×']);
    let read = |s: &str| s.trim().parse::<u16>().ok();
    let size = parts.and_then(|(w, h)| Some((read(w)?, read(h)?)));
    size.ok_or_else(|| format!("\"{text}\" is no size; give columns x rows, such as 100x30"))
}

/// Runs the command.
///
/// # Errors
/// Wrong usage, no session or a damaged one, a file that cannot be written, Interrupted.
pub fn run(args: &Export) -> Result<()> {
    let form = form(args)?;
    let file = Arc::new(shipped::find(&args.file)?);
    let place = args.out.as_deref().map(Place::prepare).transpose()?;
    let output = Output { json: false, out: None, quiet: args.quiet, log: None };
    let mut console = Console::open(&output)?;
    if let Some(line) = file.cut {
        console
            .note(&format!("{} ends in the middle of line {line}; what is before it is exported", file.name));
    }
    let bytes = render(args, form, &file, &mut console)?;
    match place {
        Some(place) => {
            let path = place.path().display().to_string();
            place.write(&bytes)?;
            let size = crate::app::text::bytes(bytes.len() as u64);
            console.note(&format!("wrote {path}, {size}"));
            Ok(())
        }
        None => {
            drop(console);
            console::print(&String::from_utf8_lossy(&bytes))
        }
    }
}

/// The file's bytes.
fn render(args: &Export, form: Form, file: &Arc<SessionFile>, console: &mut Console) -> Result<Vec<u8>> {
    let options = options(args, file)?;
    let (library, _) = crate::app::replay::library_for(&file.header)?;
    let title = if file.header.title.is_empty() { &file.name } else { &file.header.title };
    match form {
        Form::Svg | Form::Png => {
            let at = args.at.as_deref().unwrap_or("end");
            let frame = film::still(file.clone(), library, &options, time::find(at, file)?)?;
            if form == Form::Svg {
                return Ok(picture::svg(&frame.picture(), title).into_bytes());
            }
            let mut raster = Raster::new(PNG_SCALE);
            let png = raster.image(&frame.picture())?.png()?;
            without_font(&raster.missing(), console);
            Ok(png)
        }
        Form::Txt if args.at.is_some() => {
            let at = time::find(args.at.as_deref().unwrap_or("end"), file)?;
            Ok(film::text::screen(&film::still(file.clone(), library, &options, at)?.screen).into_bytes())
        }
        Form::Txt => Ok(transcript(file, library, &options)?.into_bytes()),
        Form::Json => Ok(recording::json(file, options.from, options.to)?.into_bytes()),
        Form::Csv => Ok(recording::csv(file, options.from, options.to)?.into_bytes()),
        Form::Cast | Form::Gif | Form::SvgAnim => {
            let mut film = Film::new(file.clone(), library, options)?;
            moving(args, form, &mut film, title, console)
        }
    }
}

/// The forms that need the whole film.
fn moving(args: &Export, form: Form, film: &mut Film, title: &str, console: &mut Console) -> Result<Vec<u8>> {
    let mut progress = |film: &Film| {
        let (done, all) = film.progress();
        console.progress("filming", done, all, "lines");
        console.cancel.check()
    };
    match form {
        Form::Gif => {
            let (bytes, missing) = film::gif::gif(film, &mut progress)?;
            without_font(&missing, console);
            Ok(bytes)
        }
        Form::SvgAnim => Ok(film::moving::svg(film, title, &mut progress)?.into_bytes()),
        _ => {
            let version = if args.cast_version == 3 { cast::Version::Three } else { cast::Version::Two };
            Ok(cast::cast(film, version, args.theme.unwrap_or_default(), &mut progress)?.into_bytes())
        }
    }
}

/// Says which characters no font on this machine can draw.
fn without_font(missing: &[char], console: &mut Console) {
    if !missing.is_empty() {
        let shown: String = missing.iter().take(12).collect();
        console.note(&format!(
            "no font on this machine draws {shown}: install one (e.g. Noto) and export again, or export --to svg and \
             open it in a browser"
        ));
    }
}

/// What is wanted: by name, or by the file's extension.
fn form(args: &Export) -> Result<Form> {
    let extension = |path: &Path| path.extension().map(|e| e.to_string_lossy().to_lowercase());
    let by_name = args.out.as_deref().and_then(extension);
    let named = by_name.as_deref().and_then(|e| Form::value_variants().iter().find(|f| f.extension() == e));
    match (args.to, named) {
        (Some(form), Some(other)) if other.extension() != form.extension() => Err(Error::Usage(format!(
            "--to {} and --out {}: one names .{} and the other .{}; leave --to out or change the name",
            form.extension(),
            args.out.as_deref().unwrap_or(Path::new("")).display(),
            form.extension(),
            other.extension()
        ))),
        (Some(form), _) if form.binary() && args.out.is_none() => {
            Err(Error::Usage(format!("--to {}: give --out FILE for it", form.extension())))
        }
        (Some(form), _) => Ok(form),
        (None, Some(form)) => Ok(*form),
        (None, None) => Err(Error::usage(
            "give --to FORM, or --out with an extension that says it: .cast .svg .png .gif .txt .json .csv",
        )),
    }
}

fn options(args: &Export, file: &SessionFile) -> Result<Options> {
    if !(0.0..=1e6).contains(&args.idle) {
        return Err(Error::Usage(format!("--idle {}: give seconds from 0 on, such as 2", args.idle)));
    }
    let at = |text: &Option<String>| text.as_deref().map(|t| time::find(t, file)).transpose();
    Ok(Options {
        size: args.size,
        theme: args.theme,
        from: at(&args.from)?.unwrap_or(0),
        to: at(&args.until)?,
        speed: args.speed,
        idle: (args.idle * 1000.0).round() as u64,
        fps: args.fps,
    })
}
