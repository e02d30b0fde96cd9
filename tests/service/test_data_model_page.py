from docs.generate_data_model import PAGE, data_model_page


def test_the_picture_of_the_data_model_is_up_to_date():
    assert PAGE.read_text() == data_model_page(), "run `make docs`"
