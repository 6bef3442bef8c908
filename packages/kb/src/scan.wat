;; Dot products of one query with many rows of int8, 16 numbers at a time.
;;
;; Rows lie one after the other, each `dim` bytes, `dim` a multiple of 32. Numbers are -127..127: two products of them fit 16 bits.
;; out[i] = scales[i] * sum(rows[i][j] * query[j])
(module
  (memory (export "memory") 1 65536)
  (func $add (param $sum v128) (param $row i32) (param $query i32) (result v128)
    (local $r v128) (local $q v128)
    (local.set $r (v128.load (local.get $row)))
    (local.set $q (v128.load (local.get $query)))
    (i32x4.add (local.get $sum)
      (i32x4.extadd_pairwise_i16x8_s
        (i16x8.add
          (i16x8.extmul_low_i8x16_s (local.get $r) (local.get $q))
          (i16x8.extmul_high_i8x16_s (local.get $r) (local.get $q))))))
  (func (export "scan") (param $rows i32) (param $count i32) (param $dim i32) (param $query i32) (param $scales i32) (param $out i32)
    (local $end i32) (local $q i32) (local $a v128) (local $b v128)
    (local.set $end (i32.add (local.get $query) (local.get $dim)))
    (block $done
      (loop $row
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $q (local.get $query))
        (local.set $a (v128.const i64x2 0 0))
        (local.set $b (v128.const i64x2 0 0))
        (loop $step
          (local.set $a (call $add (local.get $a) (local.get $rows) (local.get $q)))
          (local.set $b (call $add (local.get $b)
            (i32.add (local.get $rows) (i32.const 16)) (i32.add (local.get $q) (i32.const 16))))
          (local.set $rows (i32.add (local.get $rows) (i32.const 32)))
          (local.set $q (i32.add (local.get $q) (i32.const 32)))
          (br_if $step (i32.lt_u (local.get $q) (local.get $end))))
        (local.set $a (i32x4.add (local.get $a) (local.get $b)))
        (f32.store (local.get $out)
          (f32.mul (f32.load (local.get $scales))
            (f32.convert_i32_s
              (i32.add
                (i32.add (i32x4.extract_lane 0 (local.get $a)) (i32x4.extract_lane 1 (local.get $a)))
                (i32.add (i32x4.extract_lane 2 (local.get $a)) (i32x4.extract_lane 3 (local.get $a)))))))
        (local.set $out (i32.add (local.get $out) (i32.const 4)))
        (local.set $scales (i32.add (local.get $scales) (i32.const 4)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $row)))))
