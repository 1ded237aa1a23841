package activemq

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/godwitmq/godwit/config"
)

// conversion makes of a value of activemq.xml the text that godwit.yaml would have for it. The error says what was expected.
type conversion func(string) (string, error)

func asText(value string) (string, error) { return value, nil }

func asYes(value string) (string, error) {
	b, err := parseBool(value)
	return strconv.FormatBool(b), err
}

func asNumber(value string) (string, error) {
	n, err := parseNumber(value)
	return strconv.FormatInt(n, 10), err
}

// asPositive is for numbers of which 0 and below mean that there is no bound, which is 0 with us.
func asPositive(value string) (string, error) {
	n, err := parseNumber(value)
	return strconv.FormatInt(max(n, 0), 10), err
}

// asLimit is for numbers of which all below 0 mean that there is no limit, which is -1 with us.
func asLimit(value string) (string, error) {
	n, err := parseNumber(value)
	return strconv.FormatInt(max(n, -1), 10), err
}

func asDecimal(value string) (string, error) {
	x, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return "", fmt.Errorf("%q is not a number", value)
	}
	return strconv.FormatFloat(x, 'g', -1, 64), nil
}

// asMillis is for times in milliseconds; 0 and below mean that there is no bound, which is 0s with us.
func asMillis(value string) (string, error) {
	d, err := parseMillis(value)
	return d.String(), err
}

func asSize(value string) (string, error) {
	n, err := parseSize(value)
	return n.String(), err
}

func parseBool(value string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", value)
}

func parseNumber(value string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", value)
	}
	return n, nil
}

func parseMillis(value string) (time.Duration, error) {
	n, err := parseNumber(value)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of milliseconds", value)
	}
	return time.Duration(min(max(n, 0), math.MaxInt64/int64(time.Millisecond))) * time.Millisecond, nil
}

// parseSize reads ActiveMQ's sizes: a whole number, and a unit of 1024, 1024*1024 or 1024*1024*1024 in any case: "64 mb", "512k", "1g".
func parseSize(value string) (config.Size, error) {
	text := strings.ToLower(strings.TrimSpace(value))
	text = strings.TrimSuffix(text, "b")
	scale := int64(1)
	for i, unit := range []string{"k", "m", "g"} {
		if rest, ok := strings.CutSuffix(text, unit); ok {
			text, scale = rest, 1<<(10*(i+1))
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/scale {
		return 0, fmt.Errorf("%q is not a size; expected for example 64 mb", value)
	}
	return config.Size(n * scale), nil
}
