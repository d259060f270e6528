package api

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestAQuietStreamGivesSignsOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := make(chan int, 100)
		expect := func(want ...int) {
			t.Helper()
			synctest.Wait()
			got := []int{}
			for range len(sent) {
				got = append(got, <-sent)
			}
			if !slices.Equal(got, want) {
				t.Errorf("it sent %v, not %v", got, want)
			}
		}
		sign, said := -1, 7
		b := beating(t.Context(), func(n *int) error { sent <- *n; return nil }, &sign, func(n *int) *int { next := -*n; return &next })
		time.Sleep(2*beatEvery + beatEvery/2)
		expect(-1, -1) // what was asked, as it was
		if err := b.give(&said); err != nil {
			t.Fatal(err)
		}
		time.Sleep(beatEvery - time.Second)
		expect(7) // it has just spoken
		time.Sleep(2 * time.Second)
		expect(-7)
		b.end()
		time.Sleep(10 * beatEvery)
		expect()
	})
}

func TestAfterASignThatNobodyTookNothingIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone, sent, sign := errors.New("gone"), 0, 0
		b := beating(context.Background(), func(*int) error { sent++; return gone }, &sign, nil)
		defer b.end()
		time.Sleep(5*beatEvery + time.Second)
		if err := b.give(&sign); !errors.Is(err, gone) || sent != 1 {
			t.Errorf("it sent %d times and said %v", sent, err)
		}
	})
}
