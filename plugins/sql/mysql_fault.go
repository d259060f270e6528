package sql

import (
	"database/sql/driver"
	"errors"
	"strconv"
	"strings"

	client "github.com/go-sql-driver/mysql"
)

// explainMySQL makes a *refused of what MySQL answered; any other error stays as it
// is.
func explainMySQL(st statement, err error) error {
	var my *client.MySQLError
	if !errors.As(err, &my) {
		if errors.Is(err, driver.ErrBadConn) {
			return errors.Join(errors.New("the server closed it"), err)
		}
		return err
	}
	r := &refused{
		Code: strconv.Itoa(int(my.Number)), Kind: mysqlKind(my.Number), Message: my.Message, where: -1,
		cut: my.Number == 1317, // interrupted
	}
	if my.SQLState != [5]byte{} {
		r.State = string(my.SQLState[:])
	}
	switch r.Kind {
	case kindUnique:
		_, r.Constraint, _ = strings.Cut(strings.TrimSuffix(my.Message, "'"), "for key '")
	case kindSyntax:
		r.where = mysqlPlace(st, my.Message)
	case kindValue:
		if strings.Contains(my.Message, "Incorrect datetime value") || strings.Contains(my.Message, "Incorrect DATETIME value") {
			r.hint = "MySQL takes no T and no zone in a time: write it as '2026-01-02 03:04:05', in UTC"
		}
	}
	return r
}

// mysqlPlace is where the text stands that a message quotes: near 'FORM x' at line 2.
func mysqlPlace(st statement, message string) int {
	i := strings.LastIndex(message, "near '")
	j := strings.LastIndex(message, "' at line ")
	if i < 0 || j < i || len(st.moved) == 0 {
		return -1
	}
	near := message[i+len("near '") : j]
	line, err := strconv.Atoi(message[j+len("' at line "):])
	if err != nil {
		return -1
	}
	from := 0
	for range line - 1 {
		next := strings.Index(st.sent[from:], "\n")
		if next < 0 {
			return -1
		}
		from += next + 1
	}
	at := strings.Index(st.sent[from:], near)
	if near == "" {
		at = len(st.sent) - from
	}
	if at < 0 {
		return -1
	}
	return st.sourceAt(from + at)
}

// mysqlKind is what an error's number means, in the words that all databases share.
func mysqlKind(number uint16) string {
	switch number {
	case 1062, 1169, 1586:
		return kindUnique
	case 1048, 1263, 1364:
		return kindNotNull
	case 1216, 1217, 1451, 1452:
		return kindForeignKey
	case 3819, 4025:
		return kindCheck
	case 1054:
		return kindNoColumn
	case 1051, 1146:
		return kindNoTable
	case 1064, 1149:
		return kindSyntax
	case 1007, 1050, 1060, 1061, 1304, 1359:
		return kindExists
	case 1044, 1142, 1143, 1227, 1370:
		return kindPermission
	case 1290, 1792, 1836:
		return kindReadOnly
	case 1213:
		return kindDeadlock
	case 1205, 3572:
		return kindLock
	case 1264, 1265, 1292, 1366, 1406, 1411, 1525, 1690:
		return kindValue
	}
	return kindOther
}
