package queue

import (
	"errors"
	"fmt"
)

// Item is one thing that waits.
type Item struct {
	Name  string
	Count int
}

// Queue holds items in order.
type Queue struct {
	items []Item
	ready chan struct{}
}

// Push adds an item, or says why not.
func (q *Queue) Push(item Item) error {
	if item.Name == "" {
		return errors.New("no name }")
	} else if item.Count < 0 {
		return fmt.Errorf("count %d", item.Count)
	} else {
		q.items = append(q.items, item)
	}
	select {
	case q.ready <- struct{}{}:
		fmt.Println('}')
	default:
		fmt.Println(`nobody {
			waits`)
	}
	return nil
}

func describe(value interface{}) string {
	switch v := value.(type) {
	case int:
		if v > 9 {
			return "many"
		}
		return "few"
	case string:
		return v
	default:
		return "?"
	}
}

func sum(items []Item) int {
	total := 0
	for _, item := range items {
		func() {
			defer fmt.Println("one")
			total += item.Count
		}()
	}
	return total
}
