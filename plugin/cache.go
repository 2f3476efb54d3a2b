package plugin

import "sync"

// cache is a bounded map whose entries end at a given second. When it is full it drops what has ended, and if that is
// not enough a sixteenth of the rest, at random.
type cache struct {
	mu    sync.Mutex
	items map[string]cached
	max   int
}

type cached struct {
	value any
	until int64 // Unix seconds; the entry is gone from then on
}

// cacheSize bounds each cache of an edge.
const cacheSize = 10000

func newCache(max int) *cache {
	return &cache{items: make(map[string]cached), max: max}
}

// lookup returns the value of key, or nil. What has ended is left for shrink to remove.
func lookup(c *cache, key string, now int64) any {
	c.mu.Lock()
	it := c.items[key]
	c.mu.Unlock()
	if it.until <= now {
		return nil
	}
	return it.value
}

func (c *cache) put(key string, value any, until, now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.items) >= c.max {
		c.shrink(now)
	}
	c.items[key] = cached{value: value, until: until}
}

func (c *cache) remove(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.items, key)
}

func (c *cache) size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.items)
	return int64(n)
}

func (c *cache) shrink(now int64) {
	for k, it := range c.items {
		if it.until <= now {
			delete(c.items, k)
		}
	}
	for k := range c.items { // map order is random
		if len(c.items) <= c.max-c.max/16-1 {
			return
		}
		delete(c.items, k)
	}
}
