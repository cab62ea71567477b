from stocktake.pages.confusion import of_matrix


def test_cells_hold_photos_and_shares_of_their_row():
    shown = of_matrix([[0, 0, 0], [0, 3, 1], [0, 2, 2]])

    assert shown.labels == ["1", "2"] and shown.n == 8 and shown.gathered_from is None
    assert [[cell.photos for cell in row.cells] for row in shown.rows] == [[3, 1], [2, 2]]
    assert [cell.share for cell in shown.rows[0].cells] == [0.75, 0.25]
    assert [[cell.is_right for cell in row.cells] for row in shown.rows] == [
        [True, False],
        [False, True],
    ]
    assert [(row.n, row.right) for row in shown.rows] == [(4, 0.75), (4, 0.5)]
    assert shown.answered == [5, 3]


def test_a_count_that_was_only_answered_has_a_row_without_photos():
    shown = of_matrix([[0, 0, 2]])

    assert shown.labels == ["0", "2"]
    assert shown.rows[1].n == 0 and shown.rows[1].right is None
    assert [cell.share for cell in shown.rows[1].cells] == [0.0, 0.0]


def test_true_counts_beyond_what_the_model_can_say_are_rows_that_are_never_right():
    shown = of_matrix([[1, 0], [0, 1], [0, 0], [1, 2]])

    assert shown.labels == ["0", "1", "3"]
    assert shown.rows[2].n == 3 and shown.rows[2].right == 0.0
    assert shown.answered == [2, 3, 0]


def test_many_counts_are_gathered_and_no_photo_is_lost():
    matrix = [[int(i == j) + int(j == 3) for j in range(40)] for i in range(40)]
    shown = of_matrix(matrix, most=10)

    assert shown.labels == [*map(str, range(9)), "9+"] and shown.gathered_from == 9
    assert len(shown.rows) == 10 and all(len(row.cells) == 10 for row in shown.rows)
    assert sum(row.n for row in shown.rows) == sum(shown.answered) == shown.n == 80
    last = shown.rows[-1]
    assert last.cells[-1].photos == 31 and not last.cells[-1].is_right
    assert last.right == 0.5  # of exact answers


def test_as_many_counts_as_fit_are_not_gathered():
    matrix = [[int(i == j) for j in range(10)] for i in range(10)]

    assert of_matrix(matrix, most=10).gathered_from is None


def test_no_photos_are_an_empty_matrix():
    assert of_matrix([]).rows == [] and of_matrix([[0, 0]]).labels == []
