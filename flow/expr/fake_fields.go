package expr

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/testmesh/testmesh/flow/value"
)

// fakeFields is the table of fake data. Hosts are those that RFC 2606 keeps for
// examples, addresses those of RFC 5737 and 3849, telephone numbers those kept
// for fiction: a test that leaks one reaches nobody.
var fakeFields = sync.OnceValue(func() map[string]func(random) any {
	m := map[string]func(random) any{}
	for _, group := range []map[string]func(random) any{
		fakePerson(), fakeInternet(), fakePlace(), fakeBusiness(), fakeMoney(), fakeWriting(), fakeNumbers(), fakeThings(),
	} {
		for name, field := range group {
			m[name] = field
		}
	}
	return m
})

// word is a field that is one word of a line.
func word(line string) func(random) any { return func(r random) any { return r.pick(line) } }

// half is one side of a line's key=name pairs.
func half(line string, side int) func(random) any {
	return func(r random) any { return strings.SplitN(r.pick(line), "=", 2)[side] }
}

func (r random) first() string {
	if r.below(2) == 0 {
		return r.pick("first_female")
	}
	return r.pick("first_male")
}

func (r random) name() string { return r.first() + " " + r.pick("last") }

func (r random) digits(n int) string { return r.text("0123456789", n) }

func (r random) user() string {
	return strings.ToLower(r.first()+"."+r.pick("last")) + strconv.Itoa(r.below(1000))
}

func (r random) host() string {
	return r.pick("adjective") + "-" + r.pick("noun") + "." + r.pick("mail")
}

func (r random) title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func fakePerson() map[string]func(random) any {
	return map[string]func(random) any{
		"person.name":        func(r random) any { return r.name() },
		"person.full_name":   func(r random) any { return r.name() },
		"person.first_name":  func(r random) any { return r.first() },
		"person.female_name": word("first_female"),
		"person.male_name":   word("first_male"),
		"person.last_name":   word("last"),
		"person.middle_name": func(r random) any { return r.first() },
		"person.prefix":      word("prefix"),
		"person.suffix":      word("suffix"),
		"person.gender":      word("gender"),
		"person.age":         func(r random) any { return r.between(18, 90) },
		"person.birth_date":  func(r random) any { return fakeClock().AddDate(0, 0, -r.below(62*365)-18*365-5).Format(time.DateOnly) },
		"person.hobby":       word("hobby"),
		"person.job_title":   func(r random) any { return r.pick("job_level") + " " + r.pick("job_field") + " " + r.pick("job_kind") },
		"person.ssn":         func(r random) any { return fmt.Sprintf("9%s-%s-%s", r.digits(2), r.digits(2), r.digits(4)) },
		"person.username":    func(r random) any { return r.user() },
		"person.email":       func(r random) any { return r.user() + "@" + r.pick("mail") },
		"person.phone":       phone,
		"name.name":          func(r random) any { return r.name() },
		"name.first_name":    func(r random) any { return r.first() },
		"name.last_name":     word("last"),
		"name.full_name":     func(r random) any { return r.name() },
		"phone.number":       phone,
		"phone.phone_number": phone,
		"phone.e164":         func(r random) any { return "+1202555" + fmt.Sprintf("%04d", 100+r.below(100)) },
		"phone.formatted":    func(r random) any { return fmt.Sprintf("(202) 555-01%02d", r.below(100)) },
		"phone.extension":    func(r random) any { return r.digits(4) },
		"phone.imei":         func(r random) any { return luhn("35"+r.digits(12), 15) },
		"phone.country_code": func(random) any { return "+1" },
	}
}

func phone(r random) any { return fmt.Sprintf("202-555-01%02d", r.below(100)) }

func fakeInternet() map[string]func(random) any {
	return map[string]func(random) any{
		"internet.email":       func(r random) any { return r.user() + "@" + r.pick("mail") },
		"internet.username":    func(r random) any { return r.user() },
		"internet.user_name":   func(r random) any { return r.user() },
		"internet.password":    func(r random) any { return r.text(letters, 14) + r.text("!#%+-=?", 2) },
		"internet.url":         func(r random) any { return "https://" + r.host() + "/" + r.pick("noun") },
		"internet.domain":      func(r random) any { return r.host() },
		"internet.domain_name": func(r random) any { return r.host() },
		"internet.tld":         word("tld"),
		"internet.slug":        func(r random) any { return r.pick("adjective") + "-" + r.pick("noun") + "-" + r.digits(3) },
		"internet.ip":          ipv4,
		"internet.ipv4":        ipv4,
		"internet.ipv6": func(r random) any {
			return fmt.Sprintf("2001:db8:%x:%x::%x", r.below(1<<16), r.below(1<<16), 1+r.below(1<<16-1))
		},
		"internet.private_ip":  func(r random) any { return fmt.Sprintf("10.%d.%d.%d", r.below(256), r.below(256), 1+r.below(254)) },
		"internet.mac":         mac,
		"internet.mac_address": mac,
		"internet.port":        func(r random) any { return r.between(1024, 65535) },
		"internet.user_agent":  word("browser"),
		"internet.http_method": word("method"),
		"internet.status_code": func(r random) any { n, _ := strconv.Atoi(r.pick("status")); return int64(n) },
		"internet.log_level":   word("level"),
		"internet.uuid":        func(r random) any { return r.uuid() },
		"internet.token":       func(r random) any { return r.text(letters, 32) },
		"hacker.phrase":        func(r random) any { return hackPhrase(r) },
		"hacker.abbreviation":  word("hack_abbr"),
		"hacker.noun":          word("hack_noun"),
		"hacker.verb":          word("hack_verb"),
		"file.name": func(r random) any {
			return r.pick("noun") + "-" + r.pick("noun") + "." + strings.SplitN(r.pick("extension"), "=", 2)[0]
		},
		"file.extension": half("extension", 0),
		"file.mime_type": half("extension", 1),
		"file.path": func(r random) any {
			return "/" + r.pick("noun") + "/" + r.pick("noun") + "/" + r.pick("adjective") + ".txt"
		},
	}
}

func ipv4(r random) any {
	return [...]string{"192.0.2.", "198.51.100.", "203.0.113."}[r.below(3)] + strconv.Itoa(1+r.below(254))
}

func mac(r random) any {
	b := r.bits()
	return fmt.Sprintf("02:%02x:%02x:%02x:%02x:%02x", byte(b), byte(b>>8), byte(b>>16), byte(b>>24), byte(b>>32))
}

func hackPhrase(r random) string {
	return fmt.Sprintf("We need to %s the %s %s!", r.pick("hack_verb"), r.pick("hack_abbr"), r.pick("hack_noun"))
}

func fakePlace() map[string]func(random) any {
	street := func(r random) string {
		return fmt.Sprintf("%d %s %s", 1+r.below(999), r.pick("street"), r.pick("street_kind"))
	}
	return map[string]func(random) any{
		"address.street":         func(r random) any { return street(r) },
		"address.street_address": func(r random) any { return street(r) },
		"address.street_name":    func(r random) any { return r.pick("street") + " " + r.pick("street_kind") },
		"address.number":         func(r random) any { return strconv.Itoa(1 + r.below(999)) },
		"address.unit":           func(r random) any { return "Apt. " + strconv.Itoa(1+r.below(99)) },
		"address.city":           word("city"),
		"address.state":          half("state", 1),
		"address.state_code":     half("state", 0),
		"address.zip":            func(r random) any { return r.digits(5) },
		"address.zip_code":       func(r random) any { return r.digits(5) },
		"address.postcode":       func(r random) any { return r.digits(5) },
		"address.country":        half("country", 1),
		"address.country_code":   half("country", 0),
		"address.latitude":       func(r random) any { return degrees(r, 90) },
		"address.longitude":      func(r random) any { return degrees(r, 180) },
		"address.timezone":       word("zone"),
		"address.language":       half("language", 1),
		"address.language_code":  half("language", 0),
		"address.full": func(r random) any {
			return street(r) + ", " + r.pick("city") + ", " + strings.SplitN(r.pick("state"), "=", 2)[0] + " " + r.digits(5)
		},
	}
}

// degrees has six decimals, exactly.
func degrees(r random, most int64) any {
	n, err := value.ParseNumber(fmt.Sprintf("%d.%06d", r.between(-most+1, most-1), r.below(1_000_000)))
	if err != nil {
		return int64(0)
	}
	return n
}

func fakeBusiness() map[string]func(random) any {
	company := func(r random) string { return r.pick("last") + " " + r.pick("company_kind") }
	return map[string]func(random) any{
		"company.name":         func(r random) any { return company(r) },
		"company.suffix":       word("company_kind"),
		"company.industry":     word("industry"),
		"company.department":   word("department"),
		"company.buzzword":     word("buzz"),
		"company.slogan":       func(r random) any { return r.title(r.pick("buzz")) + " " + r.pick("noun") + "s for everyone" },
		"company.catch_phrase": func(r random) any { return r.title(r.pick("buzz")) + " " + r.pick("buzz") + " " + r.pick("noun") },
		"company.job_title":    func(r random) any { return r.pick("job_level") + " " + r.pick("job_field") + " " + r.pick("job_kind") },
		"company.email":        func(r random) any { return strings.ToLower(r.pick("department")[:3]) + "@" + r.host() },
		"company.url":          func(r random) any { return "https://" + r.host() },
		"commerce.product":     word("product"),
		"commerce.product_name": func(r random) any {
			return r.title(r.pick("adjective")) + " " + r.pick("material") + " " + r.pick("product")
		},
		"commerce.material":   word("material"),
		"commerce.category":   word("category"),
		"commerce.department": word("category"),
		"commerce.price":      func(r random) any { return cents(r, 1, 999) },
		"commerce.sku":        func(r random) any { return r.text("ABCDEFGHJKLMNPQRSTUVWXYZ", 3) + "-" + r.digits(5) },
		"commerce.ean":        func(r random) any { return ean(r) },
		"commerce.quantity":   func(r random) any { return r.between(1, 20) },
		"commerce.description": func(r random) any {
			return "A " + r.pick("adjective") + " " + strings.ToLower(r.pick("product")) + " that " + r.pick("verb") + " every " + r.pick("noun") + "."
		},
		"commerce.promotion_code": func(r random) any { return strings.ToUpper(r.pick("adjective")) + r.digits(4) },
	}
}

func cents(r random, from, to int64) any {
	n, err := value.ParseNumber(fmt.Sprintf("%d.%02d", r.between(from, to), 1+r.below(99)))
	if err != nil {
		return int64(0)
	}
	return n
}

func fakeMoney() map[string]func(random) any {
	return map[string]func(random) any{
		"finance.amount":           func(r random) any { return cents(r, 0, 9999) },
		"finance.currency":         half("currency", 1),
		"finance.currency_code":    half("currency", 0),
		"finance.currency_name":    half("currency", 1),
		"finance.account":          func(r random) any { return r.digits(10) },
		"finance.account_name":     word("account"),
		"finance.transaction_type": word("transaction"),
		"finance.iban":             func(r random) any { return iban(r) },
		"finance.bic": func(r random) any {
			return r.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 4) + strings.SplitN(r.pick("country"), "=", 2)[0] + "2X"
		},
		"finance.routing_number": func(r random) any { return r.digits(9) },
		"finance.credit_card": func(r random) any {
			_, prefix, _ := strings.Cut(r.pick("card"), "=")
			return card(r, prefix)
		},
		"finance.credit_card_type":   half("card", 0),
		"finance.credit_card_cvv":    func(r random) any { return r.digits(3) },
		"finance.credit_card_expiry": func(r random) any { return fmt.Sprintf("%02d/%02d", 1+r.below(12), 30+r.below(9)) },
		"finance.bitcoin_address": func(r random) any {
			return "1" + r.text("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", 33)
		},
		"finance.ethereum_address": func(r random) any { return "0x" + r.text("0123456789abcdef", 40) },
	}
}

func card(r random, prefix string) string {
	size := 16
	if prefix == "37" {
		size = 15
	}
	return luhn(prefix+r.digits(size-1-len(prefix)), size)
}

// luhn adds the check digit that makes digits pass the test of that name.
func luhn(digits string, size int) string {
	sum := 0
	for i := 0; i < len(digits); i++ {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return (digits + strconv.Itoa((10-sum%10)%10))[:size]
}

func ean(r random) string {
	digits := r.digits(12)
	sum := 0
	for i := range digits {
		d := int(digits[i] - '0')
		if i%2 == 1 {
			d *= 3
		}
		sum += d
	}
	return digits + strconv.Itoa((10-sum%10)%10)
}

// iban is German in form, with right check digits (ISO 13616).
func iban(r random) string {
	account := r.digits(18)
	rest := 0
	for _, c := range account + "131400" { // DE is 13 14
		rest = (rest*10 + int(c-'0')) % 97
	}
	return fmt.Sprintf("DE%02d%s", 98-rest, account)
}

func fakeWriting() map[string]func(random) any {
	words := func(r random, line string, n int) string {
		out := make([]string, n)
		for i := range out {
			out[i] = r.pick(line)
		}
		return strings.Join(out, " ")
	}
	sentence := func(r random) string { return r.title(words(r, "lorem", 6+r.below(8))) + "." }
	sentences := func(r random, n int) string {
		out := make([]string, n)
		for i := range out {
			out[i] = sentence(r)
		}
		return strings.Join(out, " ")
	}
	return map[string]func(random) any{
		"lorem.word":      word("lorem"),
		"lorem.words":     func(r random) any { return words(r, "lorem", 3) },
		"lorem.sentence":  func(r random) any { return sentence(r) },
		"lorem.sentences": func(r random) any { return sentences(r, 3) },
		"lorem.paragraph": func(r random) any { return sentences(r, 5) },
		"lorem.text":      func(r random) any { return sentences(r, 8) },
		"lorem.slug":      func(r random) any { return strings.ReplaceAll(words(r, "lorem", 3), " ", "-") },
		"word.adjective":  word("adjective"),
		"word.noun":       word("noun"),
		"word.verb":       word("verb"),
		"word.phrase":     func(r random) any { return "the " + r.pick("adjective") + " " + r.pick("noun") + " " + r.pick("verb") },
		"book.title":      word("title"),
		"book.author":     func(r random) any { return r.name() },
		"book.genre":      word("genre"),
		"emoji.face":      word("mood"),
	}
}

func fakeNumbers() map[string]func(random) any {
	moment := func(r random, from, days int) time.Time {
		return fakeClock().AddDate(0, 0, from).Add(time.Duration(r.below(days*86400)) * time.Second)
	}
	return map[string]func(random) any{
		"number.int":      func(r random) any { return r.between(0, 1<<31-1) },
		"number.digit":    func(r random) any { return r.between(0, 9) },
		"number.percent":  func(r random) any { return r.between(0, 100) },
		"number.small":    func(r random) any { return r.between(1, 100) },
		"number.float":    func(r random) any { return cents(r, 0, 999) },
		"number.negative": func(r random) any { return -r.between(1, 1<<31-1) },
		"number.hex":      func(r random) any { return r.text("0123456789abcdef", 8) },
		"boolean.boolean": func(r random) any { return r.below(2) == 0 },
		"uuid.uuid":       func(r random) any { return r.uuid() },
		"uuid.v4":         func(r random) any { return r.uuid() },
		"date.past":       func(r random) any { return r.around(-365, 365).Format(time.RFC3339) },
		"date.future":     func(r random) any { return r.around(1, 365).Format(time.RFC3339) },
		"date.recent":     func(r random) any { return r.around(-7, 7).Format(time.RFC3339) },
		"date.date":       func(r random) any { return moment(r, -3650, 3650).Format(time.DateOnly) },
		"date.time":       func(r random) any { return moment(r, 0, 1).Format(time.TimeOnly) },
		"date.datetime":   func(r random) any { return moment(r, -3650, 3650).Format(time.RFC3339) },
		"date.unix":       func(r random) any { return moment(r, -3650, 3650).Unix() },
		"date.year":       func(r random) any { return r.between(1950, 2025) },
		"date.month":      func(r random) any { return time.Month(1 + r.below(12)).String() },
		"date.weekday":    func(r random) any { return time.Weekday(r.below(7)).String() },
		"date.day":        func(r random) any { return r.between(1, 28) },
	}
}

func fakeThings() map[string]func(random) any {
	return map[string]func(random) any{
		"color.name":     half("color", 1),
		"color.hex":      half("color", 0),
		"color.rgb":      func(r random) any { return fmt.Sprintf("rgb(%d, %d, %d)", r.below(256), r.below(256), r.below(256)) },
		"vehicle.make":   half("car", 0),
		"vehicle.model":  half("car", 1),
		"vehicle.name":   func(r random) any { return strings.Replace(r.pick("car"), "=", " ", 1) },
		"vehicle.fuel":   word("fuel"),
		"vehicle.plate":  func(r random) any { return r.text("ABCDEFGHJKLMNPRSTUVWXYZ", 3) + " " + r.digits(4) },
		"vehicle.vin":    func(r random) any { return r.text("ABCDEFGHJKLMNPRSTUVWXYZ0123456789", 17) },
		"animal.name":    word("animal"),
		"food.dish":      word("dish"),
		"food.fruit":     word("fruit"),
		"food.vegetable": word("vegetable"),
		"food.drink":     word("drink"),
		"app.name":       func(r random) any { return r.title(r.pick("adjective")) + r.title(r.pick("noun")) },
		"app.version":    func(r random) any { return fmt.Sprintf("%d.%d.%d", r.below(10), r.below(20), r.below(50)) },
		"team.name":      func(r random) any { return r.pick("city") + " " + r.title(r.pick("animal")) + "s" },
	}
}
