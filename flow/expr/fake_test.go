package expr

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/testmesh/testmesh/flow/value"
)

// fakes is a source of fake data with a seed.
func fakes(seed uint64) *Env {
	return &Env{Random: drawn(func() uint64 {
		seed += 0x9E3779B97F4A7C15
		z := (seed ^ seed>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		return z ^ z>>31
	})}
}

type drawn func() uint64

func (d drawn) Uint64() uint64 { return d() }

func TestFakeFieldsAreManyAndAllGiveValues(t *testing.T) {
	fields := FakerFields()
	if len(fields) < 100 {
		t.Errorf("%d fields, want at least 100", len(fields))
	}
	for _, f := range fields {
		x, err := Compile("FAKER."+f, Options{})
		if err != nil {
			t.Errorf("FAKER.%s does not compile: %v", f, err)
			continue
		}
		different := map[string]bool{}
		for seed := range uint64(200) {
			v, err := x.Eval(fakes(seed))
			if err != nil || v == nil || v == "" {
				t.Fatalf("FAKER.%s gives %v, %v", f, v, err)
			}
			again, _ := x.Eval(fakes(seed))
			if !value.Equal(v, again) {
				t.Fatalf("FAKER.%s gives %v and %v for one seed", f, v, again)
			}
			different[value.Compact(v)] = true
		}
		if len(different) < 2 && f != "phone.country_code" {
			t.Errorf("FAKER.%s gives one value only: %v", f, different)
		}
	}
}

func TestFakeDataIsWellFormed(t *testing.T) {
	for field, pattern := range map[string]string{
		"person.name":                `^\S+ \S+$`,
		"internet.email":             `^[a-z.]+\d+@example\.(com|net|org)$`,
		"internet.url":               `^https://[a-z-]+\.example\.(com|net|org)/[a-z]+$`,
		"internet.ipv4":              `^(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+$`,
		"internet.ipv6":              `^2001:db8:[0-9a-f]+:[0-9a-f]+::[0-9a-f]+$`,
		"internet.mac":               `^02(:[0-9a-f]{2}){5}$`,
		"phone.e164":                 `^\+1202555\d{4}$`,
		"phone.number":               `^202-555-01\d\d$`,
		"uuid.v4":                    `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`,
		"address.country_code":       `^[A-Z]{2}$`,
		"address.zip":                `^\d{5}$`,
		"person.birth_date":          `^(19|20)\d\d-\d\d-\d\d$`,
		"date.future":                `^202(5|6)-\d\d-\d\dT\d\d:\d\d:\d\dZ$`,
		"color.hex":                  `^#[0-9a-f]{6}$`,
		"finance.credit_card":        `^[3456]\d{14,15}$`,
		"finance.iban":               `^DE\d{20}$`,
		"commerce.ean":               `^\d{13}$`,
		"lorem.sentence":             `^[A-Z][a-z]+( [a-z]+){5,}\.$`,
		"app.version":                `^\d+\.\d+\.\d+$`,
		"file.mime_type":             `^[a-z]+/[a-z0-9+]+$`,
		"finance.currency_code":      `^[A-Z]{3}$`,
		"finance.credit_card_type":   `^[A-Z]`,
		"finance.bic":                `^[A-Z]{6}2X$`,
		"person.ssn":                 `^9\d\d-\d\d-\d{4}$`,
		"internet.password":          `^.{16}$`,
		"finance.ethereum_address":   `^0x[0-9a-f]{40}$`,
		"company.email":              `^[a-z ]+@.*example`,
		"finance.credit_card_expiry": `^(0[1-9]|1[0-2])/3\d$`,
	} {
		re := regexp.MustCompile(pattern)
		for seed := range uint64(100) {
			v, err := fakeFieldFor(fakes(seed), field)
			if s, ok := v.(string); err != nil || !ok || !re.MatchString(s) {
				t.Errorf("%s gives %v, %v; want %s", field, v, err, pattern)
				break
			}
		}
	}
}

func fakeFieldFor(env *Env, field string) (any, error) {
	e := newEvaluation(env, "")
	return fakeField(e, field)
}

func TestFakeCheckDigits(t *testing.T) {
	for seed := range uint64(200) {
		env := fakes(seed)
		card, _ := fakeFieldFor(env, "finance.credit_card")
		if sum := luhnSum(card.(string)); sum%10 != 0 {
			t.Errorf("card %s has the sum %d", card, sum)
		}
		imei, _ := fakeFieldFor(env, "phone.imei")
		if s := imei.(string); len(s) != 15 || luhnSum(s)%10 != 0 {
			t.Errorf("IMEI %s is none", s)
		}
		code, _ := fakeFieldFor(env, "commerce.ean")
		sum := 0
		for i, c := range code.(string) {
			sum += int(c-'0') * (1 + 2*(i%2))
		}
		if sum%10 != 0 {
			t.Errorf("EAN %s has the sum %d", code, sum)
		}
		account, _ := fakeFieldFor(env, "finance.iban")
		rest := 0
		for _, c := range account.(string)[4:] + "1314" + account.(string)[2:4] {
			rest = (rest*10 + int(c-'0')) % 97
		}
		if rest != 1 {
			t.Errorf("IBAN %s has the rest %d", account, rest)
		}
	}
}

func luhnSum(digits string) int {
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum
}

func TestUnknownFakeFields(t *testing.T) {
	for text, want := range map[string]string{
		"FAKER.internet.emial":    `unknown fake data "internet.emial"; did you mean "internet.email"?`,
		"FAKER.user.password":     `unknown fake data "user.password"; did you mean "internet.password"?`,
		"FAKER.animal.xxxxxxxxxx": `unknown fake data "animal.xxxxxxxxxx"; there are animal.name`,
		"FAKER.xxxxxxxx.yyyyyyyy": `unknown fake data "xxxxxxxx.yyyyyyyy"; fields are written provider.field, such as person.name, internet.email, address.city`,
		"FAKER.person":            "FAKER needs a provider and a field; write FAKER.internet.email",
		"${FAKER.person.name:x}":  "fake data needs no default",
	} {
		_, err := Compile(text, Options{})
		if err == nil {
			t.Errorf("%s compiles", text)
			continue
		}
		if got := complaint(t, err); got != want {
			t.Errorf("%s: %s\nwant %s", text, got, want)
		}
	}
	if _, err := fakeFieldFor(&Env{}, "person.name"); err == nil || !strings.Contains(err.Error(), "random") {
		t.Errorf("without random bits: %v", err)
	}
}

func TestFakeDatesLieAroundNow(t *testing.T) {
	env := fakes(1)
	env.Now = func() time.Time { return time.Date(2040, 5, 6, 0, 0, 0, 0, time.UTC) }
	for field, want := range map[string][2]string{
		"date.recent": {"2040-04-29", "2040-05-06"}, "date.past": {"2039-05-06", "2040-05-06"}, "date.future": {"2040-05-06", "2041-05-07"},
	} {
		for range 100 {
			v, err := fakeFieldFor(env, field)
			if s, ok := v.(string); err != nil || !ok || s < want[0] || s > want[1] {
				t.Errorf("%s gives %v, %v; want between %v", field, v, err, want)
			}
		}
	}
}

func TestSeedsKeepTheirData(t *testing.T) {
	for field, want := range map[string]any{
		"person.name": "Elias Weber", "internet.email": "elias.weber764@example.net", "address.city": "Dublin", "finance.amount": "5413.83", "uuid.uuid": "bdd73226-2feb-4e95-a8ef-e333b266f103", "date.past": "2024-05-31T03:10:13Z",
	} {
		v, err := fakeFieldFor(fakes(42), field)
		if err != nil || value.Text(v) != want {
			t.Errorf("%s of seed 42 is %q, %v; want %q: flows rely on it", field, value.Text(v), err, want)
		}
	}
}
