// Command verify checks what our log published with Go's own sumdb packages, golang.org/x/mod/sumdb/note and tlog.
//
//	verify folder FOLDER VKEY [MINIMUM]      signature, every tile, every record from MINIMUM on, proofs between sizes
//	verify inclusion PROOF ENTRY VKEY        a C2SP .tlog-proof
//	verify consistency PROOF OLD VKEY        the body of a C2SP add-checkpoint request, and the old checkpoint
package main

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	height = 8
	width  = 1 << height
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) >= 3 && args[0] == "folder":
		minimum := int64(0)
		if len(args) == 4 {
			var err error
			if minimum, err = strconv.ParseInt(args[3], 10, 64); err != nil {
				return err
			}
		}
		return folder(args[1], args[2], minimum)
	case len(args) == 4 && args[0] == "inclusion":
		return inclusion(args[1], args[2], args[3])
	case len(args) == 4 && args[0] == "consistency":
		return consistency(args[1], args[2], args[3])
	}
	return errors.New("usage: verify folder|inclusion|consistency ...")
}

// open verifies a checkpoint and reads its size and root.
func open(data []byte, vkey string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// reader reads tiles from a folder in the layout of C2SP tlog-tiles, where the height is not part of the path.
type reader struct{ place string }

func (r reader) Height() int { return height }

func (r reader) SaveTiles([]tlog.Tile, [][]byte) {}

func (r reader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range tiles {
		data, err := os.ReadFile(filepath.Join(r.place, name(tile, strconv.Itoa(tile.L))))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func name(tile tlog.Tile, level string) string {
	tile.L = 0
	return "tile/" + level + strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/0", tile.H))
}

func folder(place, vkey string, minimum int64) error {
	data, err := os.ReadFile(filepath.Join(place, "checkpoint"))
	if err != nil {
		return err
	}
	tree, err := open(data, vkey)
	if err != nil {
		return err
	}
	hashes := tlog.TileHashReader(tree, reader{place})
	tiles, err := everyTile(tree, hashes)
	if err != nil {
		return err
	}
	records, err := everyRecord(place, tree, hashes, minimum)
	if err != nil {
		return err
	}
	if err := proofs(tree, hashes); err != nil {
		return err
	}
	fmt.Printf("size %d tiles %d records %d\n", tree.N, tiles, records)
	return nil
}

// everyTile reads each hash of each tile through the authenticating reader.
func everyTile(tree tlog.Tree, hashes tlog.HashReader) (int, error) {
	count := 0
	for level := 0; tree.N>>(height*level) > 0; level++ {
		total := tree.N >> (height * level)
		for start := int64(0); start < total; start += width {
			var indexes []int64
			for n := start; n < total && n < start+width; n++ {
				indexes = append(indexes, tlog.StoredHashIndex(height*level, n))
			}
			if _, err := hashes.ReadHashes(indexes); err != nil {
				return 0, fmt.Errorf("tile %d/%d: %w", level, start/width, err)
			}
			count++
		}
	}
	return count, nil
}

// everyRecord hashes each entry of each bundle that retention keeps.
func everyRecord(place string, tree tlog.Tree, hashes tlog.HashReader, minimum int64) (int64, error) {
	count := int64(0)
	for start := int64(0); start < tree.N; start += width {
		if start+width <= minimum {
			continue
		}
		tile := tlog.Tile{H: height, N: start / width, W: width}
		if start+width > tree.N {
			tile.W = int(tree.N - start)
		}
		bundle, err := os.ReadFile(filepath.Join(place, name(tile, "entries")))
		if err != nil {
			return 0, err
		}
		for n := start; n < start+int64(tile.W); n++ {
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				return 0, fmt.Errorf("record %d is cut off", n)
			}
			end := 2 + int(binary.BigEndian.Uint16(bundle))
			known, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, n)})
			if err != nil {
				return 0, err
			}
			if tlog.RecordHash(bundle[2:end]) != known[0] {
				return 0, fmt.Errorf("record %d is not the signed one", n)
			}
			bundle = bundle[end:]
			count++
		}
		if len(bundle) != 0 {
			return 0, fmt.Errorf("bundle %d is too long", tile.N)
		}
	}
	return count, nil
}

// proofs makes and checks inclusion and consistency proofs over the whole log.
func proofs(tree tlog.Tree, hashes tlog.HashReader) error {
	step := tree.N/37 + 1
	for n := int64(0); n < tree.N; n += step {
		known, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, n)})
		if err != nil {
			return err
		}
		record, err := tlog.ProveRecord(tree.N, n, hashes)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(record, tree.N, tree.Hash, n, known[0]); err != nil {
			return fmt.Errorf("record %d: %w", n, err)
		}
		old, err := tlog.TreeHash(n+1, hashes)
		if err != nil {
			return err
		}
		growth, err := tlog.ProveTree(tree.N, n+1, hashes)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(growth, tree.N, tree.Hash, n+1, old); err != nil {
			return fmt.Errorf("from %d records: %w", n+1, err)
		}
	}
	return nil
}

// split reads a proof: its lines, and the checkpoint after the empty line.
func split(path, vkey string) ([]string, tlog.Tree, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, tlog.Tree{}, err
	}
	head, checkpoint, found := strings.Cut(string(data), "\n\n")
	if !found {
		return nil, tlog.Tree{}, errors.New("no checkpoint in the proof")
	}
	tree, err := open([]byte(checkpoint), vkey)
	return strings.Split(head, "\n"), tree, err
}

func number(line, word string) (int64, error) {
	if !strings.HasPrefix(line, word+" ") {
		return 0, fmt.Errorf("%q where %s belongs", line, word)
	}
	return strconv.ParseInt(strings.TrimPrefix(line, word+" "), 10, 64)
}

func path(lines []string) ([]tlog.Hash, error) {
	var found []tlog.Hash
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, err
		}
		found = append(found, hash)
	}
	return found, nil
}

func inclusion(proof, entry, vkey string) error {
	lines, tree, err := split(proof, vkey)
	if err != nil {
		return err
	}
	if lines[0] != "c2sp.org/tlog-proof@v1" || len(lines) < 2 {
		return errors.New("not a proof")
	}
	record, err := os.ReadFile(entry)
	if err != nil {
		return err
	}
	lines = lines[1:]
	if strings.HasPrefix(lines[0], "extra ") {
		extra, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[0], "extra "))
		if err != nil || string(extra) != string(record) {
			return errors.New("the extra data is not the entry")
		}
		lines = lines[1:]
	}
	n, err := number(lines[0], "index")
	if err != nil {
		return err
	}
	hashes, err := path(lines[1:])
	if err != nil {
		return err
	}
	return tlog.CheckRecord(hashes, tree.N, tree.Hash, n, tlog.RecordHash(record))
}

func consistency(proof, old, vkey string) error {
	lines, tree, err := split(proof, vkey)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(old)
	if err != nil {
		return err
	}
	before, err := open(data, vkey)
	if err != nil {
		return err
	}
	if n, err := number(lines[0], "old"); err != nil || n != before.N {
		return errors.New("not a proof from the old checkpoint")
	}
	hashes, err := path(lines[1:])
	if err != nil {
		return err
	}
	return tlog.CheckTree(hashes, tree.N, tree.Hash, before.N, before.Hash)
}
