//! What kind of content a file has, by its name.
//!
//! The list is that of the Web and of what services hand around; whatever else there is can be named by `types`. A database
//! of every type that was ever registered would weigh more than the rest of this folder.

use std::collections::BTreeMap;

use http::HeaderValue;

/// What is not known.
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Sorted by the ending. Text is UTF-8.
const TYPES: [(&str, &str); 78] = [
    ("7z", "application/x-7z-compressed"),
    ("aac", "audio/aac"),
    ("avif", "image/avif"),
    ("avro", "application/vnd.apache.avro"),
    ("bin", "application/octet-stream"),
    ("bmp", "image/bmp"),
    ("br", "application/octet-stream"),
    ("bz2", "application/x-bzip2"),
    ("cjs", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("doc", "application/msword"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    ("epub", "application/epub+zip"),
    ("flac", "audio/flac"),
    ("geojson", "application/geo+json"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("ics", "text/calendar; charset=utf-8"),
    ("jar", "application/java-archive"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("jsonl", "application/jsonl"),
    ("jsonld", "application/ld+json"),
    ("jxl", "image/jxl"),
    ("log", "text/plain; charset=utf-8"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4a", "audio/mp4"),
    ("map", "application/json"),
    ("md", "text/markdown; charset=utf-8"),
    ("mid", "audio/midi"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mkv", "video/x-matroska"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("mpd", "application/dash+xml"),
    ("ndjson", "application/x-ndjson"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("otf", "font/otf"),
    ("parquet", "application/vnd.apache.parquet"),
    ("pdf", "application/pdf"),
    ("pem", "application/x-pem-file"),
    ("png", "image/png"),
    (
        "pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ),
    ("proto", "text/plain; charset=utf-8"),
    ("rtf", "application/rtf"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tgz", "application/gzip"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("toml", "application/toml"),
    ("ts", "video/mp2t"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xls", "application/vnd.ms-excel"),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    ("xml", "text/xml; charset=utf-8"),
    ("yaml", "application/yaml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// The longest ending of the list.
const LONGEST: usize = 16;

/// The types of a route: its own, and the usual ones.
#[derive(Debug)]
pub(super) struct Types(BTreeMap<String, HeaderValue>);

impl Types {
    /// `own`: types by endings in lower case.
    pub fn new(own: &BTreeMap<String, HeaderValue>) -> Self {
        Types(own.clone())
    }

    /// The type of a file of this name.
    pub fn of(&self, name: &[u8]) -> HeaderValue {
        let name = memchr::memrchr(b'/', name).map_or(name, |slash| &name[slash + 1..]);
        let Some(dot) = memchr::memrchr(b'.', name).filter(|dot| *dot > 0) else {
            return BYTES;
        };
        let ending = &name[dot + 1..];
        let mut lower = [0; LONGEST];
        let Some(lower) = lower.get_mut(..ending.len()) else {
            return BYTES;
        };
        lower.copy_from_slice(ending);
        lower.make_ascii_lowercase();
        let Ok(ending) = std::str::from_utf8(lower) else {
            return BYTES;
        };
        if let Some(own) = self.0.get(ending) {
            return own.clone();
        }
        match TYPES.binary_search_by(|(known, _)| known.cmp(&ending)) {
            Ok(at) => HeaderValue::from_static(TYPES[at].1),
            Err(_) => BYTES,
        }
    }
}

/// Whether files may have this ending: without its dot, in lower case.
pub(super) fn is_ending(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(fits) && !text.contains(['.', '/'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_tells_the_type() {
        assert!(TYPES.is_sorted());
        let own = BTreeMap::from([("js".to_owned(), HeaderValue::from_static("a/b"))]);
        let types = Types::new(&own);
        for (name, expected) in [
            ("a.html", "text/html; charset=utf-8"),
            ("d.x/A.PNG", "image/png"),
            ("a.tar.gz", "application/gzip"),
            ("a.js", "a/b"),
            ("a", "application/octet-stream"),
            (".html", "application/octet-stream"),
            ("a.", "application/octet-stream"),
            ("a.ending-that-is-too-long", "application/octet-stream"),
            ("d.html/a", "application/octet-stream"),
        ] {
            assert_eq!(types.of(name.as_bytes()), expected, "{name}");
        }
    }
}
