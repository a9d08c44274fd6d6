//! Commands at a terminal of 80 columns: a pseudo-terminal by util-linux's `script`, with somebody who types, and what
//! was seen and when, as a recording (asciicast v2) and as a transcript.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::json;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A command that runs at a terminal.
pub struct Terminal {
    child: Child,
    keys: Option<ChildStdin>,
    shown: Arc<Mutex<Vec<Piece>>>,
    reader: JoinHandle<()>,
    typed: String,
}

/// What appeared at a moment.
#[derive(Clone)]
struct Piece {
    at: Duration,
    text: String,
}

/// A command that has ended.
pub struct Seen {
    /// As it was typed.
    pub typed: String,
    pub code: i32,
    pieces: Vec<Piece>,
}

impl Terminal {
    /// Starts what `command` says, at a terminal; `typed` is how somebody would have typed it.
    pub fn start(command: &Command, typed: &str) -> Self {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let quoted = words.map(|word| format!("'{}'", word.to_str().expect("UTF-8")));
        let line = quoted.collect::<Vec<_>>().join(" ");
        // Whoever runs the tests in the background has Ctrl-C ignored, and that is inherited.
        let mut script = Command::new("env");
        script
            .args(["--default-signal=INT", "script", "-qfec"])
            .arg(format!("stty cols 80 rows 24; exec {line}"))
            .arg("/dev/null")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm-256color")
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        if let Some(folder) = command.get_current_dir() {
            script.current_dir(folder);
        }
        for (name, value) in command.get_envs() {
            script.env(name, value.expect("a value"));
        }
        let mut child = script.spawn().expect("util-linux's script");
        let mut out = child.stdout.take().expect("its output");
        let shown: Arc<Mutex<Vec<Piece>>> = Arc::default();
        let (pieces, began) = (Arc::clone(&shown), Instant::now());
        let reader = std::thread::spawn(move || {
            let (mut held, mut buffer) = (Vec::new(), [0; 4096]);
            while let Ok(count @ 1..) = out.read(&mut buffer) {
                held.extend_from_slice(&buffer[..count]);
                // A letter may come in two parts.
                let whole = match std::str::from_utf8(&held) {
                    Ok(text) => text.len(),
                    Err(error) => error.valid_up_to(),
                };
                let rest = held.split_off(whole);
                let text = String::from_utf8(std::mem::replace(&mut held, rest)).expect("whole");
                let at = began.elapsed();
                pieces.lock().push(Piece { at, text });
            }
        });
        Self {
            keys: child.stdin.take(),
            child,
            shown,
            reader,
            typed: typed.to_owned(),
        }
    }

    /// Everything that has appeared.
    pub fn text(&self) -> String {
        joined(&self.shown.lock())
    }

    /// Waits until a fact is there.
    #[track_caller]
    pub fn wait(&self, fact: impl Fn(&str) -> bool) {
        let began = Instant::now();
        while !fact(&self.text()) {
            assert!(began.elapsed() < PATIENCE, "never came: {}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until a text is to be read.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        self.wait(|shown| shown.contains(text));
    }

    /// Presses keys: `\r` is Return, `\u{3}` Ctrl-C, `\u{4}` Ctrl-D.
    pub fn press(&mut self, keys: &str) {
        let input = self.keys.as_mut().expect("a keyboard");
        input.write_all(keys.as_bytes()).expect("it takes keys");
        input.flush().expect("it takes keys");
    }

    /// Waits for the end.
    #[track_caller]
    pub fn ended(mut self) -> Seen {
        let began = Instant::now();
        let code = loop {
            match self.child.try_wait().expect("its state") {
                Some(status) => break status.code().unwrap_or(-1),
                None => {
                    if began.elapsed() > PATIENCE {
                        let _ = self.child.kill();
                        panic!("never ended: {}", self.text());
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        };
        drop(self.keys.take());
        self.reader.join().expect("the reader");
        let pieces = self.shown.lock().clone();
        Seen {
            typed: self.typed,
            code,
            pieces,
        }
    }
}

fn joined(pieces: &[Piece]) -> String {
    pieces.iter().map(|piece| piece.text.as_str()).collect()
}

impl Seen {
    /// What stands on the screen in the end, line by line. Of a bar that was taken away, its last state.
    pub fn lines(&self) -> Vec<String> {
        screen(&joined(&self.pieces))
    }

    /// The same as one text.
    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// That the command ended with this code and said this.
    #[track_caller]
    pub fn assert(&self, code: i32, says: &str) -> &Self {
        let text = self.text();
        assert_eq!(self.code, code, "{text}");
        // Wherever the lines are broken.
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            flat(&text).contains(&flat(says)),
            "{says:?} is not in\n{text}"
        );
        self
    }
}

/// What a terminal makes of a text: carriage returns, erased lines, and no colours.
fn screen(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut column): (Vec<char>, usize) = (Vec::new(), 0);
    let mut bar: Option<String> = None;
    let mut letters = text.chars().peekable();
    let finished = |line: &[char]| line.iter().collect::<String>().trim_end().to_owned();
    while let Some(letter) = letters.next() {
        match letter {
            '\n' => {
                if let (Some(bar), false) = (bar.take(), line.contains(&'█')) {
                    lines.push(bar);
                }
                lines.push(finished(&line));
                line.clear();
                column = 0;
            }
            '\r' => column = 0,
            '\u{1b}' => {
                if letters.next_if_eq(&'[').is_none() {
                    continue;
                }
                let mut command = ' ';
                for next in letters.by_ref() {
                    command = next;
                    if next.is_ascii_alphabetic() {
                        break;
                    }
                }
                if command == 'K' {
                    if line.contains(&'█') || line.contains(&'░') {
                        bar = Some(finished(&line));
                    }
                    line.clear();
                    line.resize(column, ' ');
                }
            }
            letter if letter.is_control() => {}
            letter => {
                if line.len() <= column {
                    line.resize(column + 1, ' ');
                }
                line[column] = letter;
                column += 1;
            }
        }
    }
    lines.extend(bar);
    lines.extend(Some(finished(&line)).filter(|line| !line.is_empty()));
    lines
}

/// What several commands at one terminal looked like.
pub struct Recording {
    title: &'static str,
    scenes: Vec<Seen>,
}

impl Recording {
    pub fn new(title: &'static str, scenes: Vec<Seen>) -> Self {
        Self { title, scenes }
    }

    /// As asciicast v2: a header, then one line for each thing that appeared.
    fn cast(&self) -> String {
        let header = json!({
            "version": 2, "width": 80, "height": 24, "idle_time_limit": 2.0, "title": self.title,
            "env": { "TERM": "xterm-256color", "SHELL": "/bin/sh" },
        });
        let mut text = format!("{header}\n");
        let mut now = 0.0;
        for scene in &self.scenes {
            for letter in std::iter::once("$ ".to_owned())
                .chain(scene.typed.chars().map(String::from))
                .chain(Some("\r\n".to_owned()))
            {
                now += 0.02;
                text.push_str(&event(now, &letter));
            }
            now += 0.3;
            for piece in &scene.pieces {
                text.push_str(&event(now + piece.at.as_secs_f64(), &piece.text));
            }
            now += 1.5
                + scene
                    .pieces
                    .last()
                    .map_or(0.0, |last| last.at.as_secs_f64());
        }
        text
    }

    /// As text, with what each command exits with.
    fn transcript(&self) -> String {
        let mut text = format!("{}\n", self.title);
        for scene in &self.scenes {
            text.push_str(&format!("\n$ {}\n", scene.typed));
            for line in scene.lines() {
                text.push_str(&format!("{line}\n"));
            }
            text.push_str(&format!("[exit code {}]\n", scene.code));
        }
        text
    }

    /// Compares with what the documents show; with `VESTIBULE_RECORD=1` writes it there instead.
    #[track_caller]
    pub fn keep(&self, name: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recordings");
        let (cast, text) = (
            folder.join(format!("{name}.cast")),
            folder.join(format!("{name}.txt")),
        );
        if std::env::var_os("VESTIBULE_RECORD").is_some() {
            std::fs::create_dir_all(&folder).expect("the folder");
            std::fs::write(&cast, self.cast()).expect("the recording");
            std::fs::write(&text, self.transcript()).expect("the transcript");
        }
        let kept = std::fs::read_to_string(&text).unwrap_or_default();
        assert_eq!(
            words(&kept),
            words(&self.transcript()),
            "{} shows something else: record it anew with VESTIBULE_RECORD=1",
            text.display()
        );
        let kept = std::fs::read_to_string(&cast).unwrap_or_default();
        let header: serde_json::Value =
            serde_json::from_str(kept.lines().next().unwrap_or_default()).expect("a header");
        assert_eq!(header["title"], self.title);
        assert!(kept.lines().count() > 10, "{} is empty", cast.display());
    }
}

fn event(at: f64, text: &str) -> String {
    format!("[{at:.3},\"o\",{}]\n", serde_json::Value::from(text))
}

/// A transcript without what differs from run to run: numbers, ids, bars and spaces.
fn words(transcript: &str) -> Vec<String> {
    let is_bar = |line: &&str| line.contains(['█', '░']);
    let masked = |line: &str| {
        let mut masked = String::new();
        for word in line.split_whitespace() {
            let number = word.contains(|letter: char| letter.is_ascii_digit());
            masked.push_str(if number { "#" } else { word });
            masked.push(' ');
        }
        masked
    };
    transcript
        .lines()
        .filter(|line| !is_bar(line))
        .map(masked)
        .collect()
}

#[test]
fn a_terminal_is_read_as_it_looks() {
    let text = "one\r\n\u{1b}[2K\rmailed ██░ 1 of 3\r\u{1b}[2Kmailed ███ 2 of 3\r\u{1b}[2Kdone\r\nab\rc\r\n";
    assert_eq!(screen(text), ["one", "mailed ███ 2 of 3", "done", "cb"]);
    assert_eq!(screen("\u{1b}[1mbold\u{1b}[0m"), ["bold"]);
    assert_eq!(words("total 25\n███ 1\nid 0a-b"), ["total # ", "id # "]);
}
