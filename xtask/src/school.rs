//! The school example's data, generated: no clock, no entropy, so that every machine gets the same bytes and a test or
//! a benchmark may name a record by its key.
//!
//! `school.ndjson` holds one JSON object per line, in an order in which everything a line names came before it:
//!
//! * `{"user": {"username", "email", "password"?, "roles", "values"}}`: an account; `values` are its own columns.
//! * `{"record": {"collection", "values"}}`: a record. Accounts get their ids when they are made, so a value that
//!   names one is written `{"user": "<username>"}`, and whoever loads the file puts the id there.
//!
//! Three people have passwords (`anna`, `bo`, `ada`); the others cannot sign in until they are given one, which spares
//! the loader some 250 password hashes.

use std::collections::HashSet;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

const STUDENTS: usize = 240;
const COURSES_PER_STUDENT: usize = 5;
const COURSES: usize = SUBJECTS.len() * LEVELS.len();
const TEACHERS: usize = 12;
const FORM_SIZE: usize = 24;
const LEVELS: [&str; 2] = ["I", "II"];

/// Writes `school.ndjson` into `dir`. The same on every call.
pub fn generate(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let path = dir.join("school.ndjson");
    let cannot = || format!("cannot write {}", path.display());
    let mut file = BufWriter::new(std::fs::File::create(&path).with_context(cannot)?);
    for line in lines() {
        writeln!(file, "{line}").with_context(cannot)?;
    }
    file.flush().with_context(cannot)
}

/// All lines, in dependency order.
fn lines() -> Vec<Value> {
    let mut chance = Chance(0x5c00_1000);
    let teachers = teachers();
    let students = students(&mut chance);
    let mut lines: Vec<Value> = teachers.iter().chain(&students).map(Person::line).collect();
    lines.push(registrar().line());

    for course in 0..COURSES {
        // Ada, the first teacher, has the courses 1 and 13; her colleagues share the rest.
        let teacher = &teachers[course % TEACHERS];
        let title = format!(
            "{} {}",
            subject_of(course).name,
            LEVELS[course % LEVELS.len()]
        );
        lines.push(record(
            "courses",
            json!({ "id": course + 1, "title": title, "teacher": teacher.reference() }),
        ));
    }

    let enrolments = enrolments(&mut chance);
    for (place, enrolment) in enrolments.iter().enumerate() {
        let student = students[enrolment.student].reference();
        lines.push(record(
            "enrolments",
            json!({ "id": place + 1, "student": student, "course": enrolment.course + 1 }),
        ));
    }
    grades(&enrolments, &students, &mut chance, &mut lines);
    for course in 0..COURSES {
        tests_of(course, &mut lines);
    }
    answers(&enrolments, &students, &mut chance, &mut lines);
    lines
}

fn record(collection: &str, values: Value) -> Value {
    json!({ "record": { "collection": collection, "values": values } })
}

// People

struct Person {
    username: String,
    full_name: String,
    password: Option<&'static str>,
    role: &'static str,
    form: Option<String>,
}

impl Person {
    fn line(&self) -> Value {
        let mut values = json!({ "full_name": self.full_name });
        if let Some(form) = &self.form {
            values["form"] = json!(form);
        }
        let mut user = json!({
            "username": self.username,
            "email": format!("{}@school.example", self.username),
        });
        if let Some(password) = self.password {
            user["password"] = json!(password);
        }
        user["roles"] = json!([self.role]);
        user["values"] = values;
        json!({ "user": user })
    }

    fn reference(&self) -> Value {
        json!({ "user": self.username })
    }
}

fn teachers() -> Vec<Person> {
    TEACHER_NAMES
        .iter()
        .enumerate()
        .map(|(place, (first, last))| Person {
            username: match place {
                0 => "ada".into(),
                _ => username(first, last),
            },
            full_name: format!("{first} {last}"),
            password: (place == 0).then_some("ada-teaches-3"),
            role: "teacher",
            form: None,
        })
        .collect()
}

fn students(chance: &mut Chance) -> Vec<Person> {
    let mut taken: HashSet<String> = teachers()
        .into_iter()
        .map(|person| person.username)
        .collect();
    let mut students: Vec<Person> = Vec::with_capacity(STUDENTS);
    while students.len() < STUDENTS {
        let place = students.len();
        let (username, full_name, password) = match place {
            0 => (
                "anna".into(),
                "Anna Lindqvist".into(),
                Some("anna-learns-1"),
            ),
            1 => ("bo".into(), "Bo Adeyemi".into(), Some("bo-learns-22")),
            _ => {
                let (first, last) = (chance.pick(&FIRST_NAMES), chance.pick(&LAST_NAMES));
                (username(first, last), format!("{first} {last}"), None)
            }
        };
        if !taken.insert(username.clone()) {
            continue;
        }
        let form = place / FORM_SIZE;
        students.push(Person {
            username,
            full_name,
            password,
            role: "student",
            form: Some(format!("{}{}", 7 + form / 2, ["a", "b"][form % 2])),
        });
    }
    students
}

fn registrar() -> Person {
    Person {
        username: "vera".into(),
        full_name: "Vera Castellanos".into(),
        password: None,
        role: "registrar",
        form: None,
    }
}

fn username(first: &str, last: &str) -> String {
    format!("{first}.{last}").to_lowercase()
}

// Who sits where, and how well

struct Enrolment {
    student: usize,
    course: usize,
}

/// Round by round: everybody's first course, everybody's second, and so on.
fn enrolments(chance: &mut Chance) -> Vec<Enrolment> {
    let choices: Vec<Vec<usize>> = (0..STUDENTS)
        .map(|student| match student {
            // Anna and Bo share the course 1, and each has courses that the other has not.
            0 => vec![0, 1, 4, 7, 10],
            1 => vec![0, 2, 5, 8, 11],
            _ => {
                let mut all: Vec<usize> = (0..COURSES).collect();
                (0..COURSES_PER_STUDENT)
                    .map(|_| all.swap_remove(chance.below(all.len())))
                    .collect()
            }
        })
        .collect();
    (0..COURSES_PER_STUDENT)
        .flat_map(|round| {
            choices
                .iter()
                .enumerate()
                .map(move |(student, courses)| Enrolment {
                    student,
                    course: courses[round],
                })
        })
        .collect()
}

/// Four grades for every enrolment and a fifth for two out of five. The first is Anna's, the second Bo's.
fn grades(
    enrolments: &[Enrolment],
    students: &[Person],
    chance: &mut Chance,
    lines: &mut Vec<Value>,
) {
    let mut id = 0;
    for round in 0..5 {
        for (place, enrolment) in enrolments.iter().enumerate() {
            if round == 4 && place % 5 >= 2 {
                continue;
            }
            id += 1;
            let score = 100 - chance.below(31) - chance.below(31);
            let comment = match score {
                90.. => chance.pick(&["Excellent work", "Clear and complete", "Well observed"]),
                75.. => chance.pick(&["Good", "Good, with small slips", "Solid work"]),
                60.. => chance.pick(&["Fair", "Revise the second part", "Half of it is there"]),
                _ => chance.pick(&["Please see me after class", "Much is missing", "Try again"]),
            };
            let mut values = json!({
                "id": id,
                "student": students[enrolment.student].reference(),
                "course": enrolment.course + 1,
                "score": score,
                "comment": comment,
            });
            if id <= 2 || chance.below(4) == 0 {
                values["teacher_note"] = json!(chance.pick(&TEACHER_NOTES));
            }
            let (month, day) = ([9, 10, 11, 2, 3][round], 1 + chance.below(28));
            let year = if month > 6 { 2024 } else { 2025 };
            values["graded_at"] = json!(format!("{year}-{month:02}-{day:02}T14:00:00Z"));
            lines.push(record("grades", values));
        }
    }
}

// Tests

/// Title, deadline, whether published. The first two are long over, the last two last longer than this program will.
const TESTS: [(&str, &str, bool); 4] = [
    ("Autumn test", "2024-11-15T12:00:00Z", true),
    ("Spring test", "2025-04-11T12:00:00Z", true),
    ("Open test", "2099-06-30T12:00:00Z", true),
    ("Final test", "2099-12-18T12:00:00Z", false),
];

fn test_id(course: usize, test: usize) -> usize {
    course * TESTS.len() + test + 1
}

fn question_id(course: usize, test: usize, question: usize) -> usize {
    (course * TESTS.len() + test) * QUESTIONS + question + 1
}

/// The tests of one course and, after each, its questions.
fn tests_of(course: usize, lines: &mut Vec<Value>) {
    let subject = subject_of(course);
    for (place, (title, deadline, published)) in TESTS.iter().enumerate() {
        lines.push(record(
            "tests",
            json!({
                "id": test_id(course, place),
                "course": course + 1,
                "title": format!("{title}: {}", subject.name),
                "deadline": deadline,
                "published": published,
            }),
        ));
        for (number, (text, _)) in subject.questions.iter().enumerate() {
            lines.push(record(
                "questions",
                json!({
                    "id": question_id(course, place, number),
                    "test": test_id(course, place),
                    "text": text,
                    "points": number + 1,
                }),
            ));
        }
    }
}

struct Answer {
    enrolment: usize,
    test: usize,
    question: usize,
    submitted: bool,
}

/// Two answers of everybody to the autumn test, handed in, and one to the open test from every fifth enrolment, every
/// other one still a draft. The first is Anna's and handed in, the second Bo's, the third Anna's draft.
fn answers(
    enrolments: &[Enrolment],
    students: &[Person],
    chance: &mut Chance,
    lines: &mut Vec<Value>,
) {
    let mut answers: Vec<Answer> = Vec::new();
    for question in 0..2 {
        answers.extend((0..enrolments.len()).map(|enrolment| Answer {
            enrolment,
            test: 0,
            question,
            submitted: true,
        }));
    }
    let drafts = answers.len();
    answers.extend((0..enrolments.len()).step_by(5).map(|enrolment| Answer {
        enrolment,
        test: 2,
        question: 0,
        submitted: enrolment % 10 != 0,
    }));
    answers.swap(2, drafts);

    for (place, answer) in answers.iter().enumerate() {
        let Enrolment { student, course } = enrolments[answer.enrolment];
        let points = answer.question + 1;
        let right = chance.below(4) > 0;
        let text = match right {
            true => subject_of(course).questions[answer.question].1,
            false => "I do not remember",
        };
        let mut values = json!({
            "id": place + 1,
            "question": question_id(course, answer.test, answer.question),
            "student": students[student].reference(),
            "text": text,
            "submitted": answer.submitted,
        });
        if answer.test == 0 {
            values["awarded"] = json!(if right { points } else { 0 });
        }
        lines.push(record("answers", values));
    }
}

// Chance

/// A linear congruential generator (Knuth's constants): enough for names and scores, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // The high bits: the low ones of such a generator repeat quickly.
        ((self.0 >> 33) % limit as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

// Words

struct Subject {
    name: &'static str,
    questions: [(&'static str, &'static str); QUESTIONS],
}

const QUESTIONS: usize = 4;

fn subject_of(course: usize) -> &'static Subject {
    &SUBJECTS[course / LEVELS.len()]
}

const SUBJECTS: [Subject; 10] = [
    Subject {
        name: "Biology",
        questions: [
            ("What does a ribosome make?", "Proteins"),
            (
                "Where in a plant cell does photosynthesis happen?",
                "In the chloroplasts",
            ),
            (
                "Name the two kinds of cell division.",
                "Mitosis and meiosis",
            ),
            (
                "Why is a mule usually infertile?",
                "Its parents have different numbers of chromosomes",
            ),
        ],
    },
    Subject {
        name: "Chemistry",
        questions: [
            ("What is the pH of pure water at 25 degrees?", "7"),
            ("Which gas do acids give off with zinc?", "Hydrogen"),
            (
                "What holds the ions of table salt together?",
                "Their opposite charges, an ionic bond",
            ),
            (
                "Balance the burning of methane.",
                "CH4 + 2 O2 -> CO2 + 2 H2O",
            ),
        ],
    },
    Subject {
        name: "Physics",
        questions: [
            ("What is the unit of force?", "The newton"),
            ("State Ohm's law.", "Voltage is current times resistance"),
            (
                "Why does the moon always show the same face?",
                "It turns once while it goes round once",
            ),
            (
                "How far does a stone fall in two seconds?",
                "About twenty metres",
            ),
        ],
    },
    Subject {
        name: "Mathematics",
        questions: [
            (
                "What is the sum of the angles of a triangle?",
                "180 degrees",
            ),
            ("Solve x squared = 49.", "7 and -7"),
            (
                "Is there a largest prime number?",
                "No, Euclid showed that there is always another",
            ),
            ("What is the slope of 2x + y = 3?", "-2"),
        ],
    },
    Subject {
        name: "History",
        questions: [
            ("In which year did the Western Roman Empire end?", "476"),
            ("What did the Magna Carta limit?", "The power of the king"),
            (
                "Who printed the first Bible with movable type?",
                "Johannes Gutenberg",
            ),
            (
                "Name one cause of the French Revolution.",
                "The debts of the crown and the price of bread",
            ),
        ],
    },
    Subject {
        name: "Geography",
        questions: [
            ("What is the longest river of Africa?", "The Nile"),
            ("What causes the seasons?", "The tilt of the earth's axis"),
            ("Name a country with two official languages.", "Finland"),
            (
                "How does a delta form?",
                "A river drops its sand where it slows down",
            ),
        ],
    },
    Subject {
        name: "Literature",
        questions: [
            ("How many lines has a sonnet?", "14"),
            ("Who wrote Frankenstein?", "Mary Shelley"),
            (
                "What is an unreliable narrator?",
                "One whose account the reader learns to doubt",
            ),
            (
                "What does a metaphor do that a simile does not?",
                "It says that one thing is another",
            ),
        ],
    },
    Subject {
        name: "Music",
        questions: [
            ("How many strings has a violin?", "Four"),
            (
                "What does a sharp do to a note?",
                "It raises it by a semitone",
            ),
            (
                "Who composed the Goldberg Variations?",
                "Johann Sebastian Bach",
            ),
            (
                "What makes a fugue?",
                "One theme that enters voice after voice",
            ),
        ],
    },
    Subject {
        name: "Computing",
        questions: [
            ("How many values has a byte?", "256"),
            ("Write 13 in binary.", "1101"),
            (
                "What must be true of a list before a binary search?",
                "It must be sorted",
            ),
            (
                "Why are passwords stored as slow hashes?",
                "So that guessing from a stolen list takes too long",
            ),
        ],
    },
    Subject {
        name: "Economics",
        questions: [
            (
                "What happens to demand when prices rise?",
                "It usually falls",
            ),
            ("What is inflation?", "A general rise of prices"),
            ("Name a cost that does not grow with output.", "Rent"),
            (
                "What is comparative advantage?",
                "Doing what one gives up least for",
            ),
        ],
    },
];

const TEACHER_NOTES: [&str; 8] = [
    "Could go further",
    "Late again",
    "Talk to the parents in spring",
    "Quiet, but follows everything",
    "Same mistakes as the neighbour",
    "Suggest for the science fair",
    "Was ill in the week before",
    "Much better than last term",
];

const TEACHER_NAMES: [(&str, &str); TEACHERS] = [
    ("Ada", "Okafor"),
    ("Max", "Reuter"),
    ("Ines", "Carvalho"),
    ("Tomasz", "Wilk"),
    ("Leila", "Haddad"),
    ("George", "Pemberton"),
    ("Yuki", "Tanabe"),
    ("Sofia", "Marchetti"),
    ("Ravi", "Menon"),
    ("Helene", "Dubois"),
    ("Pavel", "Horak"),
    ("Grace", "Nyambura"),
];

const FIRST_NAMES: [&str; 40] = [
    "Alice", "Amir", "Amina", "Ben", "Carla", "Chidi", "Clara", "Daniel", "Dina", "Elias", "Emma",
    "Farid", "Finn", "Greta", "Hana", "Hugo", "Ida", "Ivan", "Jakob", "Jana", "Kofi", "Lena",
    "Leo", "Lucia", "Maja", "Mateo", "Mei", "Mila", "Nadia", "Noah", "Nora", "Omar", "Petra",
    "Quentin", "Rosa", "Samir", "Selma", "Theo", "Wanda", "Zoe",
];

const LAST_NAMES: [&str; 40] = [
    "Abebe", "Andersen", "Bakker", "Baptiste", "Berger", "Blum", "Brandt", "Chen", "Costa",
    "Delgado", "Dlamini", "Eriksen", "Farah", "Fischer", "Fontaine", "Garcia", "Haas", "Hansen",
    "Ito", "Jansen", "Kaya", "Keller", "Kowalski", "Larsen", "Lopez", "Mensah", "Moreau", "Murphy",
    "Novak", "Oduya", "Park", "Petrov", "Ricci", "Rossi", "Santos", "Silva", "Suzuki", "Taylor",
    "Weber", "Yilmaz",
];

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    fn of<'a>(lines: &'a [Value], collection: &str) -> Vec<&'a Value> {
        lines
            .iter()
            .map(|line| &line["record"])
            .filter(|record| record["collection"] == collection)
            .map(|record| &record["values"])
            .collect()
    }

    #[test]
    fn two_runs_write_the_same_bytes() {
        let folder = std::env::temp_dir().join(format!("xtask-school-{}", std::process::id()));
        let file = folder.join("school.ndjson");
        generate(&folder).unwrap();
        let first = std::fs::read(&file).unwrap();
        generate(&folder).unwrap();
        let second = std::fs::read(&file).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(!first.is_empty() && first == second);
        assert!(first.ends_with(b"\n"));
        let text = String::from_utf8(first).unwrap();
        assert_eq!(text.lines().count(), lines().len());
        assert!(
            text.lines()
                .all(|line| serde_json::from_str::<Value>(line).unwrap().is_object())
        );
    }

    #[test]
    fn there_is_as_much_as_promised() {
        let lines = lines();
        let mut roles = BTreeMap::new();
        for line in &lines {
            if let Some(role) = line["user"]["roles"][0].as_str() {
                *roles.entry(role.to_owned()).or_insert(0) += 1;
            }
        }
        assert_eq!(roles["student"], 240);
        assert_eq!(roles["teacher"], 12);
        assert_eq!(of(&lines, "courses").len(), 20);
        assert_eq!(of(&lines, "enrolments").len(), 1_200);
        assert_eq!(of(&lines, "grades").len(), 5_280);
        assert_eq!(of(&lines, "tests").len(), 80);
        assert_eq!(of(&lines, "questions").len(), 320);
        assert_eq!(of(&lines, "answers").len(), 2_640);
    }

    #[test]
    fn every_line_names_only_what_came_before_it() {
        let mut users = HashSet::new();
        let mut records: HashSet<(String, u64)> = HashSet::new();
        for line in lines() {
            if let Some(username) = line["user"]["username"].as_str() {
                assert!(users.insert(username.to_owned()), "{username} twice");
                continue;
            }
            let collection = line["record"]["collection"].as_str().unwrap();
            let values = line["record"]["values"].as_object().unwrap();
            for (name, value) in values {
                let target = match name.as_str() {
                    "student" | "teacher" => {
                        assert!(users.contains(value["user"].as_str().unwrap()), "{line}");
                        continue;
                    }
                    "course" => "courses",
                    "test" => "tests",
                    "question" => "questions",
                    _ => continue,
                };
                let key = (target.to_owned(), value.as_u64().unwrap());
                assert!(records.contains(&key), "{line}");
            }
            let key = (collection.to_owned(), values["id"].as_u64().unwrap());
            assert!(records.insert(key), "{line}");
        }
    }

    #[test]
    fn the_records_that_people_name_are_whose_they_say() {
        let lines = lines();
        let (grades, answers) = (of(&lines, "grades"), of(&lines, "answers"));
        assert_eq!(grades[0]["id"], 1);
        assert_eq!(grades[0]["student"]["user"], "anna");
        assert_eq!(grades[0]["course"], 1);
        assert_eq!(grades[1]["id"], 2);
        assert_eq!(grades[1]["student"]["user"], "bo");
        assert!(grades[0]["teacher_note"].is_string());
        for (place, student, submitted) in [(0, "anna", true), (1, "bo", true), (2, "anna", false)]
        {
            assert_eq!(answers[place]["id"], place + 1);
            assert_eq!(answers[place]["student"]["user"], student);
            assert_eq!(answers[place]["submitted"], submitted);
        }
        assert_eq!(of(&lines, "courses")[0]["teacher"]["user"], "ada");
    }

    #[test]
    fn three_people_can_sign_in() {
        let passwords: BTreeMap<String, String> = lines()
            .iter()
            .filter_map(|line| {
                let user = &line["user"];
                Some((
                    user["username"].as_str()?.into(),
                    user["password"].as_str()?.into(),
                ))
            })
            .collect();
        let expected = [
            ("ada", "ada-teaches-3"),
            ("anna", "anna-learns-1"),
            ("bo", "bo-learns-22"),
        ];
        assert_eq!(
            passwords,
            expected.map(|(a, b)| (a.into(), b.into())).into()
        );
    }

    #[test]
    fn every_answer_is_by_somebody_enrolled_and_some_tests_are_over() {
        let lines = lines();
        let key = |value: &Value| value.as_u64().unwrap();
        let column = |collection: &str, field: &str| -> HashMap<u64, u64> {
            of(&lines, collection)
                .iter()
                .map(|values| (key(&values["id"]), key(&values[field])))
                .collect()
        };
        let (tests, questions) = (column("tests", "course"), column("questions", "test"));
        let enrolled: HashSet<(String, u64)> = of(&lines, "enrolments")
            .iter()
            .map(|values| (values["student"].to_string(), key(&values["course"])))
            .collect();
        assert_eq!(enrolled.len(), 1_200, "nobody is enrolled twice");
        for answer in of(&lines, "answers") {
            let course = tests[&questions[&key(&answer["question"])]];
            assert!(
                enrolled.contains(&(answer["student"].to_string(), course)),
                "{answer}"
            );
        }
        let deadlines = of(&lines, "tests")
            .iter()
            .map(|test| test["deadline"].as_str().unwrap()[..4].to_owned())
            .collect::<HashSet<_>>();
        assert_eq!(
            deadlines,
            HashSet::from(["2024".into(), "2025".into(), "2099".into()])
        );
    }
}
