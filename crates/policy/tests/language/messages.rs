//! What people are told when a rule cannot be read: the word, what was expected, and the fix.

use portreeve_policy::{parse_rule, rule_from_json};

#[test]
fn every_refusal_of_text_names_the_word_and_the_fix() {
    let table = [
        (
            "",
            0,
            "the rule is empty; a condition is expected, or 'true' for every record",
        ),
        (
            "a contians 'x'",
            2,
            "'contians' is not an operator; did you mean 'contains'?",
        ),
        (
            "a not contians 'x'",
            6,
            "'contians' is not an operator; did you mean 'contains'?",
        ),
        (
            "a like 'x%'",
            2,
            "'like' is not an operator; use contains, starts_with or ends_with",
        ),
        (
            "a is 5",
            5,
            "'5' stands after 'is' where null is expected; compare with other values by = or <>",
        ),
        (
            "a is not 5",
            9,
            "'5' stands after 'is not' where null is expected; compare with other values by = or <>",
        ),
        (
            "a not null",
            6,
            "'null' is not an operator; use 'is null' or 'is not null'",
        ),
        ("a == 1", 2, "'==' is not an operator; use '='"),
        ("a => 1", 2, "'=>' is not an operator; use '>='"),
        ("a && b", 2, "'&&' is not an operator; use 'and'"),
        ("a || b", 2, "'||' is not an operator; use 'or'"),
        ("!a", 0, "'!' is not an operator; use 'not'"),
        (
            "a = null",
            2,
            "a comparison with null is never true; write 'is null' or 'is not null'",
        ),
        (
            "null <> a",
            5,
            "a comparison with null is never true; write 'is null' or 'is not null'",
        ),
        (
            r#"a = "x""#,
            4,
            r#"" does not quote anything; text stands in single quotes: 'text'"#,
        ),
        (
            "a = ‘x’",
            4,
            "‘ does not quote anything; text stands in single quotes: 'text'",
        ),
        (
            "a = 'x",
            4,
            "the text 'x is not closed; a single quote ends it, and two of them stand for one inside",
        ),
        (
            "a = 'O'Neill'",
            7,
            "'Neill' follows a closing quote; a quote inside text is written twice: ''",
        ),
        (
            "`a = 1",
            0,
            "the name `a = 1 is not closed; a back quote ends it, and two of them stand for one inside",
        ),
        (
            "a = 2024-01-01",
            4,
            "'2024-01-01' is not a number; dates and other text stand in single quotes, units after a space",
        ),
        (
            "ip = 192.168.0.1",
            5,
            "'192.168.0.1' is not a number; dates and other text stand in single quotes, units after a space",
        ),
        (
            "a = .5",
            4,
            "a digit is expected before '.'; write 0.5 rather than .5",
        ),
        (
            "a = - 5",
            4,
            "'-' stands where an operand is expected; a negative number has its sign right before it, a positive one none",
        ),
        (
            "a = +5",
            4,
            "'+' stands where an operand is expected; a negative number has its sign right before it, a positive one none",
        ),
        (
            "price * 2 = 10",
            6,
            "'*' is not an operator; rules have no arithmetic",
        ),
        (
            "a + 1 = 2",
            2,
            "'+' follows a complete operand; rules have no arithmetic except on $now, such as $now - 1 day",
        ),
        (
            "a -1 = 2",
            2,
            "'-1' follows a complete operand; rules have no arithmetic except on $now, such as $now - 1 day",
        ),
        (
            "a < b < c",
            6,
            "'<' follows a complete condition; join two comparisons by 'and'",
        ),
        (
            "a = 1 b = 2",
            6,
            "'b' follows a complete condition; 'and' or 'or' is expected between two",
        ),
        (
            "a = 1 adn b = 2",
            6,
            "'adn' follows a complete condition; did you mean 'and'?",
        ),
        (
            "Not a",
            4,
            "'Not' is read as a field before 'a'; keywords are written small: not",
        ),
        (
            "a b",
            2,
            "'b' is not an operator; there is =, <>, <, <=, >, >=, in, between, is null, contains and its kin, matches, and, or",
        ),
        (
            "any answers (text = 'x')",
            4,
            "'answers' follows 'any', which is read as a field; for a relation write 'some', 'every' or 'none', such as some answers (…)",
        ),
        (
            "some (text = 'x')",
            5,
            "'(' stands after 'some' where the name of a relation is expected; a field called some goes into back quotes",
        ),
        (
            "some answers",
            12,
            "the rule ends where '(' with the condition on the records of 'answers' is expected",
        ),
        (
            "some answers text = 'x'",
            13,
            "'text' stands where '(' with the condition on the records of 'answers' is expected",
        ),
        (
            "answers.some(text = 'x')",
            12,
            "'(' follows the path 'answers.some'; the name of a rule has no dots, and 'some', 'every' or 'none' comes before a relation",
        ),
        (
            "(a = 1",
            0,
            "this '(' is not closed; ')' is expected before the rule ends",
        ),
        ("a = 1)", 5, "')' closes nothing; its '(' is missing"),
        (
            "(a) = 1",
            4,
            "'=' follows a condition in parentheses; an operand is compared without them",
        ),
        (
            "a = (1)",
            4,
            "'(' stands where an operand is expected; parentheses group conditions, not operands",
        ),
        (
            "a = lenght(b)",
            4,
            "'lenght' is not a function of operands; there is count, year, month, day, hour, minute, second, weekday",
        ),
        (
            "cout(answers) > 3",
            14,
            "'>' follows the named rule 'cout', which is true or false by itself; did you mean 'count'?",
        ),
        (
            "count(1) > 3",
            6,
            "'1' stands where the name of a relation is expected",
        ),
        (
            "owner(a) = 3",
            9,
            "'=' follows the named rule 'owner', which is true or false by itself; functions with a value are count, year and its kin",
        ),
        (
            "owner(a",
            7,
            "the rule ends where ',' or ')' after an argument is expected",
        ),
        (
            "owner(a b)",
            8,
            "'b' stands where ',' or ')' after an argument is expected",
        ),
        (
            "sent(a.b)",
            5,
            "'sent' takes a field of the record itself; its name has no dots",
        ),
        (
            "sent('a')",
            5,
            "the text 'a' stands where the name of a field is expected",
        ),
        (
            "a in 1",
            5,
            "'1' stands after 'in' where a list in parentheses or $user.roles is expected; compare with one value by =",
        ),
        (
            "a in [1, 2]",
            5,
            "'[' is not an operator; lists stand in parentheses: in (1, 2)",
        ),
        (
            "a in (1, 2",
            10,
            "the rule ends where ',' or ')' after a value is expected",
        ),
        (
            "a in (1,)",
            8,
            "')' stands where a field, a value or a variable is expected",
        ),
        (
            "a in $old.b",
            5,
            "'$old.b' is not a list; $old and $new are compared with = or <>",
        ),
        (
            "a between 1, 2",
            11,
            "',' stands where 'and' with the upper end of 'between' is expected",
        ),
        (
            "a between 1 and",
            15,
            "the rule ends where a field, a value or a variable is expected",
        ),
        (
            "a matches b",
            10,
            "'b' stands where a regular expression in single quotes is expected",
        ),
        ("and a", 0, "'and' stands where a condition is expected"),
        ("a or", 4, "the rule ends where a condition is expected"),
        ("a and or b", 6, "'or' stands where a condition is expected"),
        (
            "$usr = a",
            0,
            "'$usr' is not a variable; did you mean '$user'?",
        ),
        (
            "$me = a",
            0,
            "'$me' is not a variable; did you mean '$user'?",
        ),
        (
            "$ = a",
            0,
            "'$' begins a variable: $user, $now, $request, $claims, $old or $new is expected",
        ),
        (
            "$old = 1",
            0,
            "'$old' alone has no value; the name of a field is expected, such as $old.name",
        ),
        (
            "$claims = 'x'",
            0,
            "'$claims' alone has no value; the name of a claim is expected, such as $claims.name",
        ),
        (
            "$request.path = 'x'",
            0,
            "'$request.path' is not something a request has; there is ip, method, face, operation",
        ),
        (
            "$now.year = 2020",
            0,
            "'$now.year' is not a variable; $now has no parts, and year($now) and its kin take them",
        ),
        (
            "$now - 1.5 hours > a",
            7,
            "'1.5' is not a whole number; use a smaller unit, such as 90 minutes for 1.5 hours",
        ),
        (
            "$now - 1 > a",
            9,
            "'>' stands where a unit of time (seconds, minutes, hours, days or weeks) is expected",
        ),
        (
            "$now - 1 fortnight > a",
            9,
            "'fortnight' is not a unit of time; there is seconds, minutes, hours, days, weeks",
        ),
        (
            "$now - 1 month > a",
            9,
            "'month' is not a unit of time; months and years differ in length, use days or weeks",
        ),
        (
            "$now - 9999999 weeks > a",
            7,
            "a span of 9999999 weeks is more than 10,000 years, the most that $now can be moved by",
        ),
        (
            "$user",
            0,
            "$user alone is no condition; an operator is expected after it, such as '= true' or 'is not null'",
        ),
        (
            "'x'",
            0,
            "'x' alone is no condition; an operator is expected after it, such as '= true' or 'is not null'",
        ),
        (
            ": = 1",
            0,
            "':' begins a parameter of a named rule and its name is expected right after it, such as :field",
        ),
        (
            ":a.b = 1",
            2,
            "the parameter ':a' cannot be followed by '.'; pass the whole path as the argument",
        ),
        (
            "a. = 1",
            1,
            "a name is expected right after '.'; one that does not begin with a letter goes into back quotes",
        ),
        (
            "a.1 = 1",
            1,
            "a name is expected right after '.'; one that does not begin with a letter goes into back quotes",
        ),
        (".a = 1", 0, "a name is expected right before '.'"),
        (
            "größe = 1",
            0,
            "'größe' has letters that a plain name has not; put it in back quotes: `größe`",
        ),
        (
            "@user = a",
            0,
            "'@' is not an operator; variables begin with '$', such as $user",
        ),
        ("a = ?", 4, "'?' is not an operator; write the value itself"),
        (
            "a = 1;",
            5,
            "';' is not an operator; a rule is one condition, joined by 'and' or 'or'",
        ),
        (
            "a # comment",
            2,
            "'#' is not an operator; rules have no comments",
        ),
        (
            "some in (a = 1)",
            5,
            "'in' stands where the name of a relation is expected; a name spelt like a keyword goes into back quotes",
        ),
        (
            "between = 1",
            0,
            "'between' stands where a condition is expected; a name spelt like a keyword goes into back quotes",
        ),
        (
            "a.b(c)",
            3,
            "'(' follows the path 'a.b'; the name of a rule has no dots, and 'some', 'every' or 'none' comes before a relation",
        ),
        (
            "year(a > 2020",
            7,
            "'>' stands where ')' to close 'year(' is expected",
        ),
        (
            "a contains",
            10,
            "the rule ends where a field, a value or a variable is expected",
        ),
        (
            "$request.a.b = 1",
            0,
            "'$request.a.b' is not something a request has; there is ip, method, face, operation",
        ),
        ("a xor b", 2, "'xor' is not an operator; did you mean 'or'?"),
        (
            "a = 1 and",
            9,
            "the rule ends where a condition is expected",
        ),
        ("()", 1, "')' stands where a condition is expected"),
        ("a in ()) or b", 7, "')' closes nothing; its '(' is missing"),
        (
            "a = ünïcode",
            4,
            "'ünïcode' has letters that a plain name has not; put it in back quotes: `ünïcode`",
        ),
        (
            "a = 'it\\'s'",
            9,
            "'s' follows a closing quote; a quote inside text is written twice: ''",
        ),
        (
            "some answers (a",
            13,
            "this '(' is not closed; ')' is expected before the rule ends",
        ),
        (
            "Some answers (a)",
            5,
            "'answers' follows 'Some', which is read as a field; for a relation write 'some', 'every' or 'none', such as some answers (…)",
        ),
        (
            "$NOW > a",
            0,
            "'$NOW' is not a variable; did you mean '$now'?",
        ),
        (
            "a in (null",
            10,
            "the rule ends where ',' or ')' after a value is expected",
        ),
        (
            "x.y z",
            4,
            "'z' is not an operator; there is =, <>, <, <=, >, >=, in, between, is null, contains and its kin, matches, and, or",
        ),
        ("a isnull", 2, "'isnull' is not an operator; use 'is null'"),
        (
            "a = 1 or or b",
            9,
            "'or' stands where a condition is expected",
        ),
        (
            "{{a}} = 1",
            0,
            "'{' is not an operator; parentheses group conditions",
        ),
        (
            "$now - 'x' > a",
            7,
            "the text 'x' stands where a number with a unit of time, such as 90 minutes, is expected",
        ),
        (
            "$user.team. = 1",
            10,
            "a name is expected right after '.'; one that does not begin with a letter goes into back quotes",
        ),
        (
            "a = in",
            4,
            "'in' stands where a field, a value or a variable is expected; a name spelt like a keyword goes into back quotes",
        ),
        (
            "a = and",
            4,
            "'and' stands where a field, a value or a variable is expected",
        ),
        (
            "count(in) > 1",
            6,
            "'in' stands where the name of a relation is expected; a name spelt like a keyword goes into back quotes",
        ),
        (
            "sent(not)",
            5,
            "'not' stands where the name of a field is expected",
        ),
    ];
    for (text, offset, message) in table {
        let error = parse_rule(text).expect_err(text);
        assert_eq!(
            (error.offset, error.message.as_str()),
            (offset, message),
            "{text}"
        );
    }
}

#[test]
fn every_refusal_of_json_names_the_place_as_well() {
    let table = [
        (
            r#""a = 1""#,
            "the text 'a = 1' stands where a condition is expected; it is an object with one operator, or true or false",
        ),
        (
            "null",
            "null stands where a condition is expected; it is an object with one operator, or true or false",
        ),
        (
            "{}",
            "the object is empty where one key, the operator, is expected",
        ),
        (
            r#"{"=": [{"field": "a"}, 1], "<": [{"field": "b"}, 2]}"#,
            r#"the object has the keys '=' and '<' where one, the operator, is expected; join conditions by {"and": […]}"#,
        ),
        (
            r#"{"contians": [{"field": "a"}, "x"]}"#,
            "'contians' is not an operator; did you mean 'contains'?",
        ),
        (
            r#"{"status": "open"}"#,
            r#"'status' is not an operator; a field is compared as in {"=": [{"field": "name"}, "value"]}"#,
        ),
        (r#"{"_eq": [1, 2]}"#, "'_eq' is not an operator; use '='"),
        (
            r#"{"field": "a"}"#,
            r#"'field' is not an operator; {"field": …} is an operand, compare it: {"=": [{"field": …}, true]}"#,
        ),
        (
            r#"{"=": {"field": "a"}}"#,
            "in /=: an object stands where a list of two operands is expected after '='",
        ),
        (
            r#"{"=": [{"field": "a"}]}"#,
            "in /=: the list after '=' has length 1 where two operands are expected",
        ),
        (
            r#"{"=": [{"field": "a"}, null]}"#,
            "in /=: a comparison with null is never true; write 'is null' or 'is not null'",
        ),
        (
            r#"{"and": [true, {"or": [false, {"like": [{"field": "a"}, "x"]}]}]}"#,
            "in /and/1/or/1: 'like' is not an operator; use contains, starts_with or ends_with",
        ),
        (
            r#"{"and": []}"#,
            "in /and: the list after 'and' is empty; write true for every record or false for none",
        ),
        (
            r#"{"not": [true]}"#,
            "in /not: a list stands where a condition is expected; it is an object with one operator, or true or false",
        ),
        (
            r#"{"in": [{"field": "a"}, 1]}"#,
            r#"in /in/1: 1 stands where a list or {"var": "$user.roles"} is expected; compare with one value by ="#,
        ),
        (
            r#"{"in": [{"field": "a"}, {"var": "$old.b"}]}"#,
            r#"in /in/1/var: '$old' is not written as a variable; use {"old": "field"}"#,
        ),
        (
            r#"{"=": [{"feild": "a"}, 1]}"#,
            "in /=/0: 'feild' is not a kind of operand; did you mean 'field'?",
        ),
        (
            r#"{"=": [{"=": [1, 1]}, 1]}"#,
            "in /=/0: '=' makes a condition where an operand is expected",
        ),
        (
            r#"{"=": [["a"], 1]}"#,
            "in /=/0: a list stands where an operand is expected; lists go with 'in'",
        ),
        (
            r#"{"=": [{"field": "a..b"}, 1]}"#,
            "in /=/0/field: 'a..b' is not the name of a field; names are joined by single dots",
        ),
        (
            r#"{"=": [{"field": 5}, 1]}"#,
            "in /=/0/field: 5 stands where a field, as text, is expected",
        ),
        (
            r#"{"=": [{"var": "user"}, 1]}"#,
            "in /=/0/var: 'user' is not a variable; it begins with '$', such as $user",
        ),
        (
            r#"{"=": [{"var": "$usr"}, 1]}"#,
            "in /=/0/var: '$usr' is not a variable; did you mean '$user'?",
        ),
        (
            r#"{"=": [{"number": "1,5"}, 1]}"#,
            "in /=/0/number: '1,5' is not a number; digits are expected, such as -12.50",
        ),
        (
            r#"{"some": [{"field": "answers"}, true]}"#,
            "in /some/0: an object stands where a relation, as text, is expected",
        ),
        (
            r#"{"rule": "owner"}"#,
            "in /rule: the text 'owner' stands where a list of the rule's name and its arguments is expected after 'rule'",
        ),
        (
            r#"{"rule": []}"#,
            "in /rule: an empty list stands where a list of the rule's name and its arguments is expected after 'rule'",
        ),
        (
            r#"{"sent": ""}"#,
            "in /sent: the text is empty where a field is expected",
        ),
        (
            r#"{"matches": [{"field": "a"}, {"field": "b"}]}"#,
            "in /matches/1: an object stands where a regular expression, as text, is expected",
        ),
        (
            r#"{"not_in": [{"field": "a"}, [1]]}"#,
            r#"'not_in' is not an operator; use {"not": {"in": […]}}"#,
        ),
        (
            r#"{"any": [true, false]}"#,
            "'any' is not an operator; use 'or' for conditions, 'some' for a relation",
        ),
    ];
    for (text, message) in table {
        let json = serde_json::from_str(text).expect(text);
        let error = rule_from_json(&json).expect_err(text);
        assert_eq!(
            (error.offset, error.message.as_str()),
            (0, message),
            "{text}"
        );
    }
}
