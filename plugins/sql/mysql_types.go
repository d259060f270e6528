package sql

import (
	"database/sql/driver"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// mysqlChanged is what a statement changed, where it is one that does.
func mysqlChanged(st statement, result driver.Result) (affected, lastID *int64) {
	switch words := st.keywords(1); words[0] {
	case "INSERT", "REPLACE":
		if id, err := result.LastInsertId(); err == nil && id != 0 {
			lastID = &id
		}
	case "UPDATE", "DELETE", "LOAD":
	default:
		return nil, nil
	}
	if n, err := result.RowsAffected(); err == nil {
		affected = &n
	}
	return affected, lastID
}

// mysqlArguments are the values of a statement as the driver sends them. Lists and
// maps are JSON.
func mysqlArguments(args []any) ([]driver.NamedValue, error) {
	out := make([]driver.NamedValue, len(args))
	for i, v := range args {
		switch x := v.(type) {
		case json.Number:
			if n, err := strconv.ParseInt(x.String(), 10, 64); err == nil {
				v = n
			} else if n, err := strconv.ParseUint(x.String(), 10, 64); err == nil {
				v = n
			} else {
				v = x.String()
			}
		case []any, map[string]any:
			text, err := jsonText(x)
			if err != nil {
				return nil, err
			}
			v = text
		}
		out[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return out, nil
}

// mysqlValue reads a value by its column's type.
func mysqlValue(databaseType string, v driver.Value) (any, error) {
	text, isText := v.([]byte)
	switch x := v.(type) {
	case nil:
		return nil, nil
	case int64:
		return json.Number(strconv.FormatInt(x, 10)), nil
	case uint64:
		return json.Number(strconv.FormatUint(x, 10)), nil
	case float32:
		return json.Number(strconv.FormatFloat(float64(x), 'g', -1, 32)), nil
	case float64:
		return json.Number(strconv.FormatFloat(x, 'g', -1, 64)), nil
	case string:
		text, isText = []byte(x), true
	}
	if !isText {
		return nil, fmt.Errorf("the driver gives a %T", v)
	}
	switch databaseType {
	case "DECIMAL", "FLOAT", "DOUBLE", "YEAR":
		return number(string(text)), nil
	case "JSON":
		return document(text), nil
	case "BIT":
		var n uint64
		for _, b := range text {
			n = n<<8 | uint64(b)
		}
		return json.Number(strconv.FormatUint(n, 10)), nil
	case "BINARY", "VARBINARY", "TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB", "GEOMETRY", "VECTOR":
		return base64.StdEncoding.EncodeToString(text), nil
	case "DATETIME":
		return mysqlTime(string(text), ""), nil
	case "TIMESTAMP":
		return mysqlTime(string(text), "Z"), nil
	}
	if strings.HasSuffix(databaseType, "INT") {
		return number(string(text)), nil
	}
	return valid(string(text))
}

// mysqlTime is a time in the form of RFC 3339. A TIMESTAMP is of UTC, because the
// session is; a DATETIME has no zone. The zero date stays.
func mysqlTime(text, zone string) string {
	if day, clock, ok := strings.Cut(text, " "); ok && !strings.HasPrefix(text, "0000-00-00") {
		return day + "T" + clock + zone
	}
	return text
}
