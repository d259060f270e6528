package demo

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxName  = 200
	maxEmail = 254 // RFC 5321 with its errata
)

type user struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Email     *string  `json:"email"`
	Roles     []string `json:"roles"`
	Active    bool     `json:"active"`
	CreatedAt string   `json:"created_at"`
	Version   int      `json:"version"`

	password *[32]byte
}

// userBody is what a client may set. A key that is left out stays nil.
type userBody struct {
	Name     *string         `json:"name"`
	Email    json.RawMessage `json:"email"`
	Roles    *[]string       `json:"roles"`
	Active   *bool           `json:"active"`
	Password *string         `json:"password"`
}

// apply sets what the body has and names what is wrong with it.
func (b userBody) apply(u *user) []fieldError {
	var wrong []fieldError
	if b.Name != nil {
		u.Name = strings.TrimSpace(*b.Name)
	}
	if n := utf8.RuneCountInString(u.Name); n == 0 || n > maxName {
		wrong = append(wrong, fieldError{"name", fmt.Sprintf("must have 1 to %d characters, has %d", maxName, n)})
	}
	if b.Email != nil {
		u.Email = nil
		if err := json.Unmarshal(b.Email, &u.Email); err != nil {
			wrong = append(wrong, fieldError{"email", "must be a string or null"})
		}
	}
	if u.Email != nil {
		address, err := mail.ParseAddress(*u.Email)
		if err != nil || address.Address != *u.Email || len(*u.Email) > maxEmail {
			wrong = append(wrong, fieldError{"email", fmt.Sprintf("%.40q is not an email address", *u.Email)})
		}
	}
	if b.Roles != nil {
		u.Roles = *b.Roles
	}
	for _, role := range u.Roles {
		if !slices.Contains([]string{"customer", "editor", "admin"}, role) {
			wrong = append(wrong, fieldError{"roles", fmt.Sprintf("%.40q is none of customer, editor, admin", role)})
		}
	}
	if len(u.Roles) > 3 {
		wrong = append(wrong, fieldError{"roles", "must have at most 3 entries"})
	}
	if b.Active != nil {
		u.Active = *b.Active
	}
	if b.Password != nil {
		sum := sha256.Sum256([]byte(*b.Password))
		u.password = &sum
	}
	return wrong
}

func newUser() user { return user{Roles: []string{"customer"}, Active: true} }

func createUser(c *call) error {
	var body userBody
	if err := c.read(&body); err != nil {
		return err
	}
	made, err := c.addUser(body)
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", "/users/"+made.ID)
	return c.json(http.StatusCreated, made)
}

func (c *call) addUser(body userBody) (made user, err error) {
	made = newUser()
	wrong := body.apply(&made)
	err = c.locked(func(t *tenant) error {
		if err := t.acceptable(made, wrong); err != nil {
			return err
		}
		n := t.next("user")
		made.ID, made.CreatedAt, made.Version = t.uuid("user", n), moment(n), 1
		t.users.put(made.ID, made)
		return nil
	})
	return made, err
}

// acceptable refuses what is not valid and an email that another user has.
func (t *tenant) acceptable(u user, wrong []fieldError) error {
	if len(wrong) > 0 {
		return &problem{status: http.StatusUnprocessableEntity, Code: "invalid", Message: "the user is not valid", Fields: wrong}
	}
	if u.Email == nil {
		return nil
	}
	if other := t.userByEmail(*u.Email); other != nil && other.ID != u.ID {
		return refuse(http.StatusConflict, "conflict", "the email %s belongs to another user", *u.Email)
	}
	return nil
}

func (t *tenant) userByEmail(email string) *user {
	for _, u := range t.users.byKey {
		if u.Email != nil && strings.EqualFold(*u.Email, email) {
			return u
		}
	}
	return nil
}

func listUsers(c *call) error {
	email := c.r.URL.Query().Get("email")
	c.tenant.mu.Lock()
	found := c.tenant.users.list(func(u *user) bool {
		return email == "" || u.Email != nil && strings.EqualFold(*u.Email, email)
	})
	c.tenant.mu.Unlock()
	return page(c, found)
}

func getUser(c *call) error {
	return c.answerUser(func(*tenant, *user) error { return nil })
}

// putUser replaces a user: what the body leaves out gets its default.
func putUser(c *call) error { return c.changeUser(func(user) user { return newUser() }) }

// patchUser merges the body into a user (RFC 7396: null removes the email).
func patchUser(c *call) error { return c.changeUser(func(u user) user { return u }) }

func (c *call) changeUser(base func(user) user) error {
	var body userBody
	if err := c.read(&body); err != nil {
		return err
	}
	return c.answerUser(func(t *tenant, u *user) error {
		changed := base(*u)
		changed.ID, changed.CreatedAt, changed.Version = u.ID, u.CreatedAt, u.Version+1
		wrong := body.apply(&changed)
		if err := t.acceptable(changed, wrong); err != nil {
			return err
		}
		*u = changed
		return nil
	})
}

func deleteUser(c *call) error {
	err := c.withUser(func(t *tenant, u *user) error {
		t.users.remove(u.ID)
		return nil
	})
	if err != nil {
		return err
	}
	return c.noContent()
}

func (c *call) answerUser(then func(*tenant, *user) error) error {
	var answer user
	err := c.withUser(func(t *tenant, u *user) error {
		err := then(t, u)
		answer = *u
		return err
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, answer)
}

func (c *call) withUser(then func(*tenant, *user) error) error {
	return c.locked(func(t *tenant) error {
		u := t.users.get(c.r.PathValue("id"))
		if u == nil {
			return missing("user", c.r.PathValue("id"))
		}
		return then(t, u)
	})
}
