;; Dot products of one query with many rows, 16 numbers at a time.
;;
;; Rows lie one after the other, each `dim` bytes of 0..127, `dim` a multiple of 32; the query's numbers are -127..127. What the
;; relaxed instruction leaves open is what a top bit in a row would mean: with 7 bits every machine answers the same.
;; out[i] = scales[i] * (sum(rows[i][j] * query[j]) - offset)
(module
  (memory (export "memory") 1 65536)
  (func (export "scan") (param $rows i32) (param $count i32) (param $dim i32) (param $query i32) (param $offset i32) (param $scales i32) (param $out i32)
    (local $end i32) (local $q i32) (local $a v128) (local $b v128)
    (local.set $end (i32.add (local.get $query) (local.get $dim)))
    (block $done
      (loop $row
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $q (local.get $query))
        (local.set $a (v128.const i64x2 0 0))
        (local.set $b (v128.const i64x2 0 0))
        (loop $step
          (local.set $a (i32x4.relaxed_dot_i8x16_i7x16_add_s
            (v128.load (local.get $q)) (v128.load (local.get $rows)) (local.get $a)))
          (local.set $b (i32x4.relaxed_dot_i8x16_i7x16_add_s
            (v128.load offset=16 (local.get $q)) (v128.load offset=16 (local.get $rows)) (local.get $b)))
          (local.set $rows (i32.add (local.get $rows) (i32.const 32)))
          (local.set $q (i32.add (local.get $q) (i32.const 32)))
          (br_if $step (i32.lt_u (local.get $q) (local.get $end))))
        (local.set $a (i32x4.add (local.get $a) (local.get $b)))
        (f32.store (local.get $out)
          (f32.mul (f32.load (local.get $scales))
            (f32.convert_i32_s
              (i32.sub
                (i32.add
                  (i32.add (i32x4.extract_lane 0 (local.get $a)) (i32x4.extract_lane 1 (local.get $a)))
                  (i32.add (i32x4.extract_lane 2 (local.get $a)) (i32x4.extract_lane 3 (local.get $a))))
                (local.get $offset)))))
        (local.set $out (i32.add (local.get $out) (i32.const 4)))
        (local.set $scales (i32.add (local.get $scales) (i32.const 4)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $row)))))
