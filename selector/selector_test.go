package selector

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// message is a Values with a map behind it.
type message map[string]any

func (m message) Value(name string) any { return m[name] }

func mustParse(t testing.TB, text string) *Selector {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatalf("Parse(%q) = %v", text, err)
	}
	return s
}

// evaluate tests with all three values: NOT x tells FALSE from unknown.
func evaluate(t testing.TB, text string, v Values) string {
	t.Helper()
	if mustParse(t, text).Matches(v) {
		return "T"
	}
	prefix := ""
	if rest, ok := strings.CutPrefix(text, conversionPrefix); ok {
		prefix, text = conversionPrefix, rest
	}
	if mustParse(t, prefix+"NOT ("+text+")").Matches(v) {
		return "F"
	}
	return "U"
}

// The tables of section 3.8.1.2.
func TestThreeValuedLogic(t *testing.T) {
	v := message{"t": true, "f": false}
	operands := map[byte]string{'T': "t", 'F': "f", 'U': "nothing"}
	tests := map[string][]string{ // left, right, result
		"AND": {"TTT", "TFF", "TUU", "FTF", "FFF", "FUF", "UTU", "UFF", "UUU"},
		"OR":  {"TTT", "TFT", "TUT", "FTT", "FFF", "FUU", "UTT", "UFU", "UUU"},
	}
	for word, rows := range tests {
		for _, row := range rows {
			left, right := operands[row[0]], operands[row[1]]
			for _, text := range []string{
				left + " " + word + " " + right,
				fmt.Sprintf("%s = TRUE %s %s <> FALSE", left, word, right),
				fmt.Sprintf("(%s %s %s) = TRUE", left, word, right),
			} {
				if got := evaluate(t, text, v); got != row[2:] {
					t.Errorf("%s = %s, want %s", text, got, row[2:])
				}
			}
		}
	}
	for operand, want := range map[byte]string{'T': "F", 'F': "T", 'U': "U"} {
		if got := evaluate(t, "NOT "+operands[operand], v); got != want {
			t.Errorf("NOT %c = %s, want %s", operand, got, want)
		}
	}
}

func TestEvaluate(t *testing.T) {
	v := message{
		"JMSType": "car", "color": "blue", "weight": int64(2501), "age": int64(17), "Country": "UK", "phone": "12993", "quote": "it's",
		"word": "lose", "under": "_foo", "flag": true, "off": false, "max": int64(math.MaxInt64), "min": int64(math.MinInt64),
		"big": int64(1<<53 + 1), "half": 0.5, "huge": 1e300, "nan": math.NaN(), "zero": int64(0), "negativeZero": math.Copysign(0, -1),
		"five": "5", "fiveAndHalf": "5.5", "yes": "TRUE", "text": "5x", "empty": "", "$_a1": int64(1), "größe": int64(3), "NAME": "upper", "name": "lower",
		"lines": "a\nb", "emoji": "😀x", "bytes": []byte("x"), "int": 7, "maxText": "9223372036854775807", "percent": "50%", "xpath": "p",
	}
	tests := map[string]struct{ text, want string }{
		// Section 3.8.1.1's examples.
		"spec all":               {"JMSType = 'car' AND color = 'blue' AND weight > 2500", "T"},
		"spec between":           {"age BETWEEN 15 AND 19", "T"},
		"spec not between":       {"age NOT BETWEEN 15 AND 19", "F"},
		"spec between null":      {"nothing BETWEEN 15 AND 19", "U"},
		"spec not between null":  {"nothing NOT BETWEEN 15 AND 19", "U"},
		"spec in":                {"Country IN (' UK', 'US', 'France')", "F"},
		"spec in found":          {"Country IN ('UK', 'US', 'France')", "T"},
		"spec not in":            {"Country NOT IN ('UK', 'US', 'France')", "F"},
		"spec in null":           {"nothing IN ('UK')", "U"},
		"spec not in null":       {"nothing NOT IN ('UK')", "U"},
		"spec like":              {"phone LIKE '12%3'", "T"},
		"spec like underscore":   {"word LIKE 'l_se'", "T"},
		"spec like escape":       {`under LIKE '\_%' ESCAPE '\'`, "T"},
		"spec not like":          {"phone NOT LIKE '12%3'", "F"},
		"spec like null":         {"nothing LIKE '%'", "U"},
		"spec not like null":     {"nothing NOT LIKE '%'", "U"},
		"spec is null":           {"nothing IS NULL", "T"},
		"spec is null value":     {"color IS NULL", "F"},
		"spec is not null":       {"color IS NOT NULL", "T"},
		"spec is not null null":  {"nothing IS NOT NULL", "F"},
		"spec three-valued":      {"color = 'blue' AND nothing = 5", "U"},
		"spec case of keywords":  {"color iS nOt nUlL aNd flag = TruE", "T"},
		"spec case of names":     {"name = 'lower' AND NAME = 'upper' AND Name IS NULL", "T"},
		"spec case of strings":   {"color = 'BLUE'", "F"},
		"spec doubled quote":     {"quote = 'it''s'", "T"},
		"only quotes":            {"quote <> ''''''", "T"},
		"empty string":           {"empty = ''", "T"},
		"identifier characters":  {"$_a1 = 1 AND größe = 3", "T"},
		"xpath is a name":        {"xpath = 'p'", "T"},
		"not binds over compare": {"NOT weight = 5", "T"},
		"not not":                {"NOT NOT flag", "T"},
		"and binds tighter":      {"TRUE OR TRUE AND FALSE", "T"},
		"parentheses":            {"(TRUE OR TRUE) AND FALSE", "F"},
		"literal conditions":     {"TRUE AND NOT FALSE", "T"},
		"unspaced names":         {"(weight>2500)AND(color='blue')OR(flag)", "T"},
		"line breaks":            {"flag\r\n\t\fAND flag", "T"},

		"equal": {"age = 17", "T"}, "not equal": {"age <> 17", "F"}, "bang equal": {"age != 17", "F"},
		"less": {"age < 17", "F"}, "less or equal": {"age <= 17", "T"}, "greater": {"age > 17", "F"}, "greater or equal": {"age >= 17", "T"},
		"literal first": {"17 = age AND 18 > age AND 16 < age AND 17 <= age AND 17 >= age AND 1 <> age", "T"},
		"names":         {"age < weight AND color <> Country", "T"},
		"null equal":    {"nothing = 5", "U"}, "null not equal": {"nothing <> 'x'", "U"}, "null both": {"nothing = nought", "U"},
		"null greater": {"5 > nothing", "U"}, "null text": {"nothing = 'x'", "U"}, "null boolean": {"nothing = TRUE", "U"},
		"booleans": {"flag = TRUE AND flag <> FALSE AND flag <> off AND TRUE = flag", "T"},
		"alone":    {"flag", "T"}, "alone false": {"off", "F"}, "alone null": {"nothing", "U"}, "alone text": {"color", "F"}, "alone number": {"age", "F"},
		"condition as value":      {"(age > 5) = TRUE", "T"},
		"condition null as value": {"(nothing > 5) IS NULL", "T"},
		"condition as value 2":    {"flag = (age > 5 AND flag)", "T"},

		"unlike boolean number":    {"flag = 1", "F"},
		"unlike boolean number <>": {"flag <> 1", "F"},
		"unlike text number":       {"color = 5", "F"},
		"unlike text number <>":    {"color <> 5", "F"},
		"unlike text boolean":      {"color <> TRUE", "F"},
		"unlike greater":           {"color > 5", "F"},
		"unlike between":           {"color BETWEEN 1 AND 2", "F"},
		"unlike not between":       {"color NOT BETWEEN 1 AND 2", "F"},
		"between half null":        {"age BETWEEN nothing AND 5", "F"},
		"between half null open":   {"age BETWEEN nothing AND 50", "U"},
		"not between half null":    {"age NOT BETWEEN nothing AND 5", "T"},
		"between names":            {"age + 1 BETWEEN zero AND weight - 1", "T"},
		"between and and":          {"age BETWEEN 1 AND 20 AND flag", "T"},
		"text greater text":        {"color > Country", "F"},
		"boolean greater boolean":  {"flag > off", "F"},
		"other type":               {"bytes IS NULL AND int IS NULL", "T"},

		"string is no number":    {"five = 5", "F"},
		"string is no number <>": {"five <> 5", "F"},
		"string has no order":    {"five > 4 OR five < 6 OR five BETWEEN 5 AND 6", "F"},
		"number is no string":    {"age = '17' OR age <> '17'", "F"},
		"string is no boolean":   {"yes = TRUE OR TRUE <> yes", "F"},
		"boolean is no string":   {"flag = 'true'", "F"},
		"string property":        {"five < age", "F"},

		"decimal": {"weight = +2501 AND weight = 2501L AND weight = 2501l", "T"}, "negative": {"-5 < zero", "T"}, "hexadecimal": {"0x1F = 31 AND 0XffL = 255", "T"},
		"octal": {"017 = 15 AND 00 = 0 AND 017L = 15", "T"}, "octal-looking float": {"017.0 = 17 AND 09.5 = 9.5 AND 010D = 10", "T"},
		"floats":         {"7. = 7 AND 7E3 = 7000 AND -57.9E2 = -5790 AND .5 = half AND 5e-1 = half AND 1.5E+1 = 15", "T"},
		"float suffixes": {"0.5F = half AND 0.5d = half AND 5D = 5 AND 5f = 5.0", "T"},
		"limits":         {"max = 9223372036854775807 AND min = -9223372036854775808 AND min = - 9223372036854775808", "T"},

		"exact integers":          {"big = 9007199254740993 AND big <> 9007199254740992", "T"},
		"exact against float":     {"big > 9007199254740992.0", "T"},
		"exact against float 2":   {"9007199254740992.0 < big", "T"},
		"max against float":       {"max < 9223372036854775808.0 AND max < huge AND huge > max", "T"},
		"min against float":       {"min = -9223372036854775808.0 AND min > -1E300", "T"},
		"fractions":               {"zero < half AND half > zero AND 1 > half AND -1 < half AND -0.5 < zero AND -0.5 > -1", "T"},
		"negative zero":           {"negativeZero = 0 AND negativeZero = 0.0", "T"},
		"not a number":            {"nan = nan OR nan < 1 OR nan > 1 OR nan = 1 OR nan BETWEEN 0 AND 1", "F"},
		"not a number is unequal": {"nan <> 1", "T"},

		"precedence":                {"2 + 3 * 4 = 14 AND (2 + 3) * 4 = 20 AND 2 * 3 + 4 = 10", "T"},
		"from the left":             {"10 - 4 - 3 = 3 AND 100 / 5 / 2 = 10 AND 7 / 2 * 2 = 6 AND 10 - (4 - 3) = 9", "T"},
		"integer division":          {"7 / 2 = 3 AND -7 / 2 = -3 AND 7 % 4 = 3 AND -7 % 4 = -3", "T"},
		"float arithmetic":          {"7 / 2.0 = 3.5 AND 1 + half = 1.5 AND half - 1 = -0.5 AND half * 4 = 2 AND 7.5 % 2 = 1.5", "T"},
		"signs":                     {"-age = -17 AND +age = 17 AND - -age = 17 AND -(-age) = 17 AND 5 - -3 = 8 AND -half = -0.5 AND -+age = -17", "T"},
		"two minus signs":           {"5--3 = 8", "T"},
		"null arithmetic":           {"nothing + 1 > 0", "U"},
		"null arithmetic right":     {"1 * nothing = 0", "U"},
		"null sign":                 {"-nothing = 0", "U"},
		"null arithmetic is null":   {"(nothing + 1) IS NULL AND nothing - 1 IS NULL", "T"},
		"boolean arithmetic":        {"flag + 1 = 2", "U"},
		"divided by zero":           {"1 / zero = 1", "U"},
		"remainder of zero":         {"1 % zero = 1", "U"},
		"divided by zero, later":    {"1 / zero + 1 IS NULL", "T"},
		"float divided by zero":     {"1.0 / zero > 1E308 AND 1 / 0.0 > 1E308", "T"},
		"add overflows":             {"max + 1 > 0", "U"},
		"add overflows below":       {"min + -1 > 0", "U"},
		"subtract overflows":        {"min - 1 < 0", "U"},
		"subtract overflows above":  {"max - -1 > 0", "U"},
		"zero minus min":            {"zero - min > 0", "U"},
		"multiply overflows":        {"max * 2 > 0", "U"},
		"multiply min by -1":        {"min * -1 > 0", "U"},
		"multiply -1 by min":        {"-1 * min > 0", "U"},
		"multiply min by 1":         {"min * 1 = min AND 1 * min = min AND min * zero = 0", "T"},
		"divide min by -1":          {"min / -1 > 0", "U"},
		"remainder of min by -1":    {"min % -1 = 0", "T"},
		"negate min":                {"-min > 0", "U"},
		"limits without overflow":   {"max + 0 = max AND min + 0 = min AND max - 0 = max AND min + max = -1 AND max - max = 0 AND -1 - max = min", "T"},
		"multiplication to the min": {"-4611686018427387904 * 2 = min", "T"},

		"in one":         {"color IN ('blue')", "T"},
		"in case":        {"color IN ('Blue', 'BLUE')", "F"},
		"in long":        {"color IN ('a','b','c','d','e','f','g','h','i','blue')", "T"},
		"in long not":    {"color NOT IN ('a','b','c','d','e','f','g','h','i','j')", "T"},
		"in number":      {"age IN ('17')", "U"},
		"not in boolean": {"flag NOT IN ('17')", "U"},
		"in parentheses": {"(color) IN ('blue')", "T"},
		"not (in)":       {"NOT (color IN ('red'))", "T"},
		"like number":    {"age LIKE '17'", "F"}, "not like number": {"age NOT LIKE '17'", "T"},
		"like any operand":  {"'abc' LIKE 'a%'", "T"},
		"like lines":        {"lines LIKE 'a_b' AND lines LIKE '%b'", "T"},
		"like code point":   {"emoji LIKE '_x' AND emoji LIKE '%_x'", "T"},
		"like escape any":   {"percent LIKE '50!%' ESCAPE '!' AND percent LIKE '%%' AND NOT percent LIKE '5!%' ESCAPE '!'", "T"},
		"like escape quote": {"percent LIKE '50''%' ESCAPE ''''", "T"},
		"like regexp":       {"color LIKE 'b.*' OR color LIKE '[b]lue'", "F"},

		"block comment":   {"flag /* AND ** ' off */ AND/**/flag", "T"},
		"line comment":    {"flag -- AND off\nAND flag", "T"},
		"comment last":    {"flag --\r", "T"},
		"comment first":   {"-- all\nflag", "T"},
		"comment in text": {"color = '--' OR color <> '/*'", "T"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := evaluate(t, tt.text, v); got != tt.want {
				t.Errorf("%s = %s, want %s", tt.text, got, tt.want)
			}
			normal := mustParse(t, tt.text).String()
			if got := evaluate(t, normal, v); got != tt.want {
				t.Errorf("%s, the normal form of %s, = %s, want %s", normal, tt.text, got, tt.want)
			}
		})
	}
}

func TestEmptySelectorMatchesAll(t *testing.T) {
	for _, text := range []string{"", " \t\r\n\f", conversionPrefix, conversionPrefix + " "} {
		s := mustParse(t, text)
		if !s.MatchesAll() || !s.Matches(message{}) || s.String() != "" || len(s.Identifiers()) != 0 {
			t.Errorf("Parse(%q): all %v, matches %v, String %q, Identifiers %q", text, s.MatchesAll(), s.Matches(message{}), s, s.Identifiers())
		}
	}
	if mustParse(t, "a").MatchesAll() {
		t.Error("a matches all")
	}
}

func TestConversion(t *testing.T) {
	v := message{"age": int64(17), "color": "blue", "flag": true, "off": false, "five": "5", "fiveAndHalf": "5.5", "yes": "TRUE", "text": "5x", "empty": "",
		"maxText": "9223372036854775807"}
	tests := map[string]struct{ text, want string }{
		"string as number":          {"five = 5", "T"},
		"string as string":          {"five = '5'", "T"},
		"number as string":          {"age = '17'", "T"},
		"number as string <>":       {"age <> '17'", "F"},
		"number as string other":    {"age = '18'", "F"},
		"string orders":             {"five > 4 AND five <= 5 AND five BETWEEN 5 AND 6", "T"},
		"string not between":        {"five NOT BETWEEN 6 AND 7", "T"},
		"string as float":           {"fiveAndHalf = 5.5 AND fiveAndHalf > 5", "T"},
		"string against property":   {"five < age", "T"},
		"string no number":          {"text = 5", "F"},
		"string no number <>":       {"text <> 5", "F"},
		"string empty no number":    {"empty = 0", "F"},
		"strings stay strings":      {"five = '5.0'", "F"},
		"string as boolean":         {"yes = TRUE AND TRUE = yes", "T"},
		"boolean as string":         {"flag = 'True' AND off = 'false'", "T"},
		"boolean as string no":      {"flag = 'yes'", "F"},
		"string as long, exact":     {"maxText = 9223372036854775807", "T"},
		"string as long, exact no":  {"maxText = 9223372036854775806", "F"},
		"string is no arithmetic":   {"five + 1 = 6", "U"},
		"string is no bare boolean": {"yes", "F"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := evaluate(t, conversionPrefix+tt.text, v); got != tt.want {
				t.Errorf("%s = %s, want %s", tt.text, got, tt.want)
			}
			normal := mustParse(t, conversionPrefix+tt.text).String()
			if got := evaluate(t, normal, v); got != tt.want || !strings.HasPrefix(normal, conversionPrefix) {
				t.Errorf("%s, the normal form of %s, = %s, want %s", normal, tt.text, got, tt.want)
			}
		})
	}
	_, err := Parse("convert_string_expressions:n >")
	if e, ok := errors.AsType[*SyntaxError](err); !ok || e.Offset != 30 || !strings.Contains(e.Detail, "column 4,") {
		t.Errorf("the error behind the prefix is %v, want offset 30 and column 4", err)
	}
}

func TestParseError(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("(", n) + "a" + strings.Repeat(")", n) }
	tests := map[string]struct {
		text   string
		offset int
		detail string
	}{
		"open parenthesis":       {"(color = 'r' AND flag", 21, "expected ')' at column 22, found the end"},
		"parenthesis, not and":   {"(a = 1 b", 7, "expected ')' at column 8, found b"},
		"closing parenthesis":    {"a)", 1, "expected an operator or the end at column 2, found ')'"},
		"no operand":             {"color =", 7, "expected a value at column 8, found the end"},
		"keyword as operand":     {"a = AND", 4, "expected a value at column 5, found AND"},
		"keyword as identifier":  {"escape = 1", 0, "expected a value at column 1, found ESCAPE"},
		"two values":             {"a b", 2, "expected an operator or the end at column 3, found b"},
		"columns are characters": {"größe = 'ä' x", 15, "expected an operator or the end at column 13, found x"},
		"second comparison":      {"a = b = c", 6, "expected an operator or the end at column 7, found '='"},
		"only a comment":         {"/* */", 5, "expected a value at column 6, found the end"},
		"lone not":               {"NOT", 3, "expected a value at column 4, found the end"},
		"null as value":          {"a = NULL", 4, "expected a value at column 5, found NULL"},
		"null alone":             {"NULL", 0, "expected a value at column 1, found NULL"},
		"is without null":        {"a IS 5", 5, "expected NULL or NOT NULL at column 6, found 5"},
		"is not without null":    {"a IS NOT TRUE", 9, "expected NULL at column 10, found TRUE"},
		"not without predicate":  {"a NOT = 5", 6, "expected BETWEEN, LIKE or IN at column 7, found '='"},
		"not as value":           {"a = NOT b", 4, "expected a value at column 5, found NOT"},

		"number as condition":     {"5", 0, "expected a condition at column 1, found a number"},
		"string as condition":     {"a AND 'x'", 6, "expected a condition at column 7, found a string"},
		"arithmetic as condition": {"a + 1 OR b", 0, "expected a condition at column 1, found an arithmetic expression"},
		"not number":              {"NOT 5", 4, "expected a condition at column 5, found a number"},
		"string greater":          {"a > 'x'", 4, "expected a number at column 5, found a string"},
		"string less, left":       {"'x' < a", 0, "expected a number at column 1, found a string"},
		"boolean greater":         {"a >= TRUE", 5, "expected a number at column 6, found TRUE"},
		"condition greater":       {"(a = b) > 1", 0, "expected a number at column 1, found a condition"},
		"string in sum":           {"a + 'x' = 1", 4, "expected a number at column 5, found a string"},
		"string before sum":       {"'x' + a = 1", 0, "expected a number at column 1, found a string"},
		"boolean in product":      {"a = 2 * FALSE", 8, "expected a number at column 9, found FALSE"},
		"sign of a string":        {"a = -'x'", 5, "expected a number at column 6, found a string"},
		"sign of a condition":     {"-(a AND b)", 1, "expected a number at column 2, found a condition"},
		"between strings":         {"a BETWEEN 'a' AND 'b'", 10, "expected a number at column 11, found a string"},
		"between string":          {"'a' BETWEEN 1 AND 2", 0, "expected a number at column 1, found a string"},
		"between without and":     {"a BETWEEN 1 OR 2", 12, "expected AND at column 13, found OR"},
		"between half":            {"a BETWEEN 1 AND", 15, "expected a value at column 16, found the end"},

		"like name":            {"a LIKE b", 7, "expected a string at column 8, found b"},
		"like escape long":     {"a LIKE 'x' ESCAPE '\\\\'", 18, "expected a string of one character after ESCAPE at column 19"},
		"like escape empty":    {"a LIKE 'x' ESCAPE ''", 18, "expected a string of one character after ESCAPE at column 19"},
		"like escape number":   {"a LIKE 'x' ESCAPE 5", 18, "expected a string at column 19, found 5"},
		"in without list":      {"a IN 'x'", 5, "expected '(' at column 6, found a string"},
		"in empty":             {"a IN ()", 6, "expected a string at column 7, found ')'"},
		"in numbers":           {"a IN (1, 2)", 6, "expected a string at column 7, found 1"},
		"in open":              {"a IN ('x' 'y')", 10, "expected ',' or ')' at column 11, found a string"},
		"in comma":             {"a IN ('x',)", 10, "expected a string at column 11, found ')'"},
		"in behind arithmetic": {"a + 1 IN ('x')", 0, "expected an identifier before IN at column 1, found an arithmetic expression"},
		"in behind string":     {"'x' IN ('x')", 0, "expected an identifier before IN at column 1, found a string"},

		"open string":       {"a = 'x", 4, "unterminated string at column 5"},
		"open string quote": {"a = 'x''", 4, "unterminated string at column 5"},
		"open comment":      {"a /* b", 2, "unterminated comment at column 3"},
		"character":         {"a = #", 4, "unexpected character '#' at column 5"},
		"double quotes":     {`a = "x"`, 4, `unexpected character '"' at column 5`},
		"bang":              {"a ! b", 2, "unexpected character '!' at column 3"},
		"double equal":      {"a == 5", 3, "expected a value at column 4, found '='"},
		"dot":               {"a.b = 5", 1, "unexpected character '.' at column 2"},
		"bad utf-8":         {"a\xff = 5", 1, "unexpected character '�' at column 2"},
		"xpath":             {"XPATH '//a'", 0, "XPATH is not supported, used at column 1"},
		"xquery":            {"a AND xquery '//a'", 6, "XQUERY is not supported, used at column 7"},

		"number with letters": {"weight>2500AND(color='blue')", 7, "expected a number at column 8, found 2500AND"},
		"octal digits":        {"a = 089", 4, "expected a number at column 5, found 089"},
		"hexadecimal empty":   {"a = 0x", 4, "expected a number at column 5, found 0x"},
		"hexadecimal digits":  {"a = 0xfg", 4, "expected a number at column 5, found 0xfg"},
		"hexadecimal float":   {"a = 0x1p3", 4, "expected a number at column 5, found 0x1p3"},
		"underscore":          {"a = 1_000", 4, "expected a number at column 5, found 1_000"},
		"two points":          {"a = 1.2.3", 4, "expected a number at column 5, found 1.2.3"},
		"exponent empty":      {"a = 1e", 4, "expected a number at column 5, found 1e"},
		"two suffixes":        {"a = 1.0fd", 4, "expected a number at column 5, found 1.0fd"},
		"float and l":         {"a = 1.0L", 4, "expected a number at column 5, found 1.0L"},
		"beyond long":         {"a = 9223372036854775808", 4, "expected a number within 64 bits at column 5, found 9223372036854775808"},
		"beyond long, far":    {"a = 92233720368547758080", 4, "expected a number within 64 bits at column 5, found 92233720368547758080"},
		"below long":          {"a = -9223372036854775809", 5, "expected a number within 64 bits at column 6, found 9223372036854775809"},
		"beyond long, hex":    {"a = 0x8000000000000000", 4, "expected a number within 64 bits at column 5, found 0x8000000000000000"},
		"beyond double":       {"a = 1E400", 4, "expected a number within 64 bits at column 5, found 1E400"},
		"long word is cut":    {"a " + strings.Repeat("x", 100), 2, "expected an operator or the end at column 3, found " + strings.Repeat("x", 40) + "..."},
		"deep parentheses":    {deep(201), 200, "nested deeper than 200 levels at column 201"},
		"deep not":            {strings.Repeat("NOT ", 201) + "a", 800, "nested deeper than 200 levels at column 801"},
		"deep signs":          {strings.Repeat("- ", 201) + "a = 1", 400, "nested deeper than 200 levels at column 401"},
		"very deep":           {strings.Repeat("(", MaxLength), 200, "nested deeper than 200 levels at column 201"},
		"too long":            {strings.Repeat(" ", MaxLength+1), MaxLength, "a selector of 65537 bytes is too long, 65536 are allowed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := Parse(tt.text)
			e, ok := errors.AsType[*SyntaxError](err)
			if !ok || s != nil || e.Offset != tt.offset || e.Detail != tt.detail {
				t.Errorf("Parse(%.60q) = %v, %#v; want offset %d, %q", tt.text, s, err, tt.offset, tt.detail)
			}
		})
	}
	if err := (&SyntaxError{Detail: "x"}); err.Error() != "invalid selector: x" {
		t.Errorf("Error() = %q", err.Error())
	}
}

func TestLimitsThatHold(t *testing.T) {
	v := message{"a": true}
	for name, text := range map[string]string{
		"deep parentheses":    strings.Repeat("(", MaxDepth) + "a" + strings.Repeat(")", MaxDepth),
		"deep not":            strings.Repeat("NOT ", MaxDepth) + "a",
		"wide or":             strings.Repeat("b OR ", (MaxLength-1)/5) + "a",
		"wide sum":            strings.Repeat("1+", 20000) + "1=20001",
		"depth is given back": strings.Repeat("(NOT a) OR ", 300) + "a",
		"longest":             "a" + strings.Repeat(" ", MaxLength-1),
	} {
		s := mustParse(t, text)
		if !s.Matches(v) {
			t.Errorf("%s does not match", name)
		}
		if !mustParse(t, s.String()).Matches(v) {
			t.Errorf("%s: its String does not match", name)
		}
	}
}

func TestString(t *testing.T) {
	tests := map[string]string{
		"a='x'and(b>5 or c is not null)": "a = 'x' AND (b > 5 OR c IS NOT NULL)",
		"((a))":                          "a",
		"(a and b) and c":                "(a AND b) AND c",
		"(a and b) or c":                 "a AND b OR c",
		"not(not(a=1))":                  "NOT NOT a = 1",
		"not (a or b)":                   "NOT (a OR b)",
		"a!=0x10":                        "a <> 16",
		"a=1e6 or a=7. or a=-.5F":        "a = 1E+06 OR a = 7.0 OR a = -0.5",
		"a - (b - c) = (a - b) - c":      "a - (b - c) = (a - b) - c",
		"(a * b) + c = a * (b + c) % 2":  "a * b + c = a * (b + c) % 2",
		"- -a=-(-5)":                     "- -a = 5",
		"a=- -9223372036854775808":       "a = - -9223372036854775808",
		"a=+5 or a=-(0) or a=-0.":        "a = 5 OR a = 0 OR a = -0.0",
		"-(a+b)=+a":                      "-(a + b) = +a",
		"a not in('x','it''s')":          "a NOT IN ('x', 'it''s')",
		"a not like 'x!_' escape '!'":    "a NOT LIKE 'x!_' ESCAPE '!'",
		"a like 'x'":                     "a LIKE 'x'",
		"a not between 1 and b+1":        "a NOT BETWEEN 1 AND b + 1",
		"a between 1 and 2":              "a BETWEEN 1 AND 2",
		"(a between 1 and 2)=(true)":     "(a BETWEEN 1 AND 2) = TRUE",
		"(a=b)is null /* c */":           "(a = b) IS NULL",
		"false":                          "FALSE",
	}
	for text, want := range tests {
		if got := mustParse(t, text).String(); got != want {
			t.Errorf("Parse(%q).String() = %q, want %q", text, got, want)
		}
	}
	long := "a=1" + strings.Repeat(" or a=1", 9000)
	if got := mustParse(t, long).String(); got != long {
		t.Errorf("a selector whose normal form is too long gives %.40q... of %d bytes, want the source", got, len(got))
	}
}

func TestIdentifiers(t *testing.T) {
	s := mustParse(t, "b = 1 AND a LIKE 'x' AND (b IS NULL OR JMSPriority + c > -d) AND e IN ('f') AND g BETWEEN h AND i AND TRUE = j")
	want := []string{"JMSPriority", "a", "b", "c", "d", "e", "g", "h", "i", "j"}
	got := s.Identifiers()
	if !slices.Equal(got, want) {
		t.Errorf("Identifiers() = %q, want %q", got, want)
	}
	got[0] = "changed"
	if again := s.Identifiers(); !slices.Equal(again, want) {
		t.Errorf("Identifiers() after the caller's change = %q, want %q", again, want)
	}
}

func TestLike(t *testing.T) {
	tests := []struct {
		pattern, escape string
		matches, not    []string
	}{
		{"", "", []string{""}, []string{"a"}},
		{"%", "", []string{"", "a", "ab", "\n"}, nil},
		{"%%", "", []string{"", "a"}, nil},
		{"_", "", []string{"a", "ä", "😀", "\xff"}, []string{"", "ab"}},
		{"__", "", []string{"ab"}, []string{"a", "abc"}},
		{"_%", "", []string{"a", "ab"}, []string{""}},
		{"%_", "", []string{"a", "ab"}, []string{""}},
		{"%_%", "", []string{"a", "ab"}, []string{""}},
		{"%__%_", "", []string{"abc", "abcd"}, []string{"ab"}},
		{"a%", "", []string{"a", "ab"}, []string{"", "ba"}},
		{"%a", "", []string{"a", "ba", "aa"}, []string{"", "ab"}},
		{"a%a", "", []string{"aa", "aba"}, []string{"a", "ab"}},
		{"ab%ba", "", []string{"abba", "ab.ba"}, []string{"aba"}},
		{"%a%b%", "", []string{"ab", "xaxbx", "bab"}, []string{"ba", "a"}},
		{"%a_c%", "", []string{"abc", "aabcx", "a.aac"}, []string{"ac", "abbc"}},
		{"%a_c%c", "", []string{"abcc", "abccc"}, []string{"abc"}},
		{"%_a", "", []string{"aa", "ba", "xxa"}, []string{"a"}},
		{"_a_%_b_", "", []string{"xaxxbx", "xax1xbx"}, []string{"xaxbx"}},
		{"%a__b", "", []string{"axxb", "aaxxb", "axxbaäöb"}, []string{"axb"}},
		{`a\%b`, `\`, []string{"a%b"}, []string{"axb", `a\%b`}},
		{`a\\%`, `\`, []string{`a\`, `a\b`}, []string{"a%", "a"}},
		{`a\b`, `\`, []string{`a\b`}, []string{"ab"}},
		{`a\`, `\`, []string{`a\`}, []string{"a"}},
		{"a%%", "%", []string{"a%"}, []string{"a", "ab"}},
		{"a__b", "_", []string{"a_b"}, []string{"axxb"}},
		{"aää%", "ä", []string{"aä", "aäb"}, []string{"a", "äa"}},
	}
	for _, tt := range tests {
		m := compileLike(tt.pattern, tt.escape)
		for _, s := range tt.matches {
			if !m.match(s) {
				t.Errorf("%q LIKE %q ESCAPE %q does not match", s, tt.pattern, tt.escape)
			}
		}
		for _, s := range tt.not {
			if m.match(s) {
				t.Errorf("%q LIKE %q ESCAPE %q matches", s, tt.pattern, tt.escape)
			}
		}
	}
}

func TestParseNumber(t *testing.T) {
	tests := map[string]any{
		"5": int64(5), "-5": int64(-5), "+5": int64(5), "007": int64(7), "5.": 5.0, ".5": 0.5, "-.5e1": -5.0, "1E+3": 1000.0, "1e-3": 0.001,
		"9223372036854775807": int64(math.MaxInt64), "9223372036854775808": 9223372036854775808.0,
		"": nil, " 5": nil, "5 ": nil, "-": nil, ".": nil, "e5": nil, "5e": nil, "5e+": nil, "5e5.5": nil, "1.2.3": nil, "--5": nil, "5-5": nil, "+-5": nil,
		"NaN": nil, "Inf": nil, "0x10": nil, "1_0": nil, "5L": nil, "1e999": nil, "1e5e5": nil, strings.Repeat("1", maxNumber+1): nil,
	}
	for s, want := range tests {
		v := parseNumber(s)
		var got any
		switch v.kind {
		case integer:
			got = v.int()
		case float:
			got = v.float()
		}
		if got != want {
			t.Errorf("parseNumber(%q) = %v, want %v", s, got, want)
		}
	}
}

// row answers as a real message does, without a map: what is measured is the selector.
type row struct {
	color any
	n     any
	other any
}

func (r *row) Value(name string) any {
	switch name {
	case "color":
		return r.color
	case "n":
		return r.n
	}
	return r.other
}

var selectors = map[string]string{
	"simple": "color = 'red' AND n > 5",
	"complex": "(color IN ('blue', 'green', 'red') OR color LIKE 'r_d%x') AND n * 2 + 1 BETWEEN 10 AND 1000.5 AND NOT (other IS NULL) " +
		"AND other LIKE '%needle%stack' AND (n % 10 <> 3 OR -n < 0.5) AND color <> 'black'",
	"convert": conversionPrefix + "other > 5 OR n = '6'",
}

var benchmarkRow = &row{"red", int64(6), "a needle in a haystack"}

func TestMatchesAllocatesNothing(t *testing.T) {
	for name, text := range selectors {
		s := mustParse(t, text)
		if !s.Matches(benchmarkRow) {
			t.Errorf("%s does not match", name)
		}
		if got := testing.AllocsPerRun(100, func() { s.Matches(benchmarkRow) }); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
}

func BenchmarkMatches(b *testing.B) {
	for name, text := range selectors {
		b.Run(name, func(b *testing.B) {
			s := mustParse(b, text)
			b.ReportAllocs()
			for b.Loop() {
				s.Matches(benchmarkRow)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for name, text := range selectors {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				mustParse(b, text)
			}
		})
	}
}

// Patterns that make a backtracking matcher take exponential time, and this one its longest, pattern times value.
func BenchmarkLikeHostile(b *testing.B) {
	s := strings.Repeat("a", 10000)
	for name, pattern := range map[string]string{
		"many percents":    strings.Repeat("%a_", 50) + "%b%",
		"many underscores": "%" + strings.Repeat("a_", 50) + "b%",
	} {
		b.Run(name, func(b *testing.B) {
			m := compileLike(pattern, "")
			for b.Loop() {
				m.match(s)
			}
		})
	}
}
